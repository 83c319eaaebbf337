# C for the loops: the items of an array, a hint to the caches, bits, and ordered memory.
# arrays.py has the same names for loops that run interpreted.

cdef extern from *:
    """
    /* The items of a C-contiguous array, read-only ones too; the caller keeps the array. */
    static void *pghot_items(PyObject *array, size_t itemsize)
    {
        Py_buffer view;
        void *items;
        Py_ssize_t has;

        if (PyObject_GetBuffer(array, &view, PyBUF_ND) < 0)
            return NULL;
        items = view.buf;
        has = view.itemsize;
        PyBuffer_Release(&view);
        if (has != (Py_ssize_t)itemsize) {
            PyErr_Format(PyExc_TypeError, "items of %zd bytes where a loop takes %zu",
                         has, itemsize);
            return NULL;
        }
        return items ? items : (void *)"";
    }
    #define pghot_array(type, array) ((type *)pghot_items((PyObject *)(array), sizeof(type)))
    #define pghot_u8(array) pghot_array(unsigned char, array)
    #define pghot_i8(array) pghot_array(signed char, array)
    #define pghot_u16(array) pghot_array(unsigned short, array)
    #define pghot_i16(array) pghot_array(short, array)
    #define pghot_u32(array) pghot_array(unsigned int, array)
    #define pghot_i32(array) pghot_array(int, array)
    #define pghot_u64(array) pghot_array(unsigned long, array)
    #define pghot_i64(array) pghot_array(long, array)
    #define pghot_f32(array) pghot_array(float, array)
    #define pghot_f64(array) pghot_array(double, array)
    #define pghot_prefetch(items, index, bytes) \
        __builtin_prefetch((const char *)(items) + (bytes) * (index), 1, 3)
    #define pghot_ctz(word) ((unsigned long)__builtin_ctzl(word))
    """
    void *items "pghot_items" (object array, size_t itemsize) except NULL
    unsigned char *u8 "pghot_u8" (object array) except NULL
    signed char *i8 "pghot_i8" (object array) except NULL
    unsigned short *u16 "pghot_u16" (object array) except NULL
    short *i16 "pghot_i16" (object array) except NULL
    unsigned int *u32 "pghot_u32" (object array) except NULL
    int *i32 "pghot_i32" (object array) except NULL
    unsigned long *u64 "pghot_u64" (object array) except NULL
    long *i64 "pghot_i64" (object array) except NULL
    float *f32 "pghot_f32" (object array) except NULL
    double *f64 "pghot_f64" (object array) except NULL
    void prefetch "pghot_prefetch" (const void *items, unsigned long index, unsigned long bytes) noexcept nogil
    unsigned long trailing_zeros "pghot_ctz" (unsigned long word) noexcept nogil
