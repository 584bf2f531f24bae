extern "C" __attribute__((visibility("default"))) int needed() { return 1; }
