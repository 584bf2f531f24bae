extern "C" int needed();

extern "C" __attribute__((visibility("default"))) int needing() { return needed(); }
