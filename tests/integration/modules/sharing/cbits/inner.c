int inner_value(void) { return VALUE; }
