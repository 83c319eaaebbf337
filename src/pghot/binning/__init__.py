"""What a report needs of a run beside its results, kept in bounded memory as it goes."""
