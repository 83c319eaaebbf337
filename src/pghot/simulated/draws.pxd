# Draws of a NumPy generator in C; draws.py has the same names, interpreted.

cdef extern from *:
    """
    #include <stdint.h>

    /* bitgen_t of numpy/random/bitgen.h: what a bit generator lends to C. */
    typedef struct {
        void *state;
        uint64_t (*next_uint64)(void *state);
        uint32_t (*next_uint32)(void *state);
        double (*next_double)(void *state);
        uint64_t (*next_raw)(void *state);
    } *pghot_bits;

    static pghot_bits pghot_bits_of(PyObject *generator)
    {
        PyObject *owner, *capsule;
        pghot_bits bits;

        owner = PyObject_GetAttrString(generator, "bit_generator");
        if (owner == NULL)
            return NULL;
        capsule = PyObject_GetAttrString(owner, "capsule");
        Py_DECREF(owner);
        if (capsule == NULL)
            return NULL;
        bits = (pghot_bits)PyCapsule_GetPointer(capsule, "BitGenerator");
        Py_DECREF(capsule);
        return bits;
    }
    #define pghot_uniform(bits) ((bits)->next_double((bits)->state))
    """
    ctypedef void *Bits "pghot_bits"
    Bits bits_of "pghot_bits_of" (object generator) except NULL
    double uniform "pghot_uniform" (Bits bits) noexcept nogil
