#include <stdio.h>
#include <stdint.h>

static uint32_t calls;
const char checksum_name[] = "adler";

/* A checksum of a string; also counts how often it was asked for. */
uint32_t checksum(const unsigned char *text)
{
    uint32_t a = 1, b = 0;
    calls++;
    for (; *text; text++) {
        a = (a + *text) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

uint32_t checksum_calls(void) { return calls; }

/* Calls back into Haskell. */
double fold_doubles(double (*step)(double, double), double start, const double *values, int n)
{
    for (int i = 0; i < n; i++)
        start = step(start, values[i]);
    return start;
}
