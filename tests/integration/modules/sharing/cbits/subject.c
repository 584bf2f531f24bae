int subject_value(void) { return VALUE; }
