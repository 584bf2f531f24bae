/* GCC's own question which processor this is refers to a symbol of libgcc. */
int processor_has_sse2(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("sse2") != 0;
#else
    return 1;
#endif
}
