#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int called;

/* Adds up its arguments in a way that shows if one is lost, cut or in another's place. */
double mixed(int8_t a, uint8_t b, int16_t c, uint16_t d, int32_t e, uint32_t f, int64_t g,
             uint64_t h, float i, double j, const char *k, uint8_t l)
{
    called++;
    return a + 2.0 * b + 3.0 * c + 4.0 * d + 5.0 * e + 6.0 * f + 7.0 * g + 8.0 * h + 9.0 * i +
           10.0 * j + 11.0 * strlen(k) + 12.0 * l;
}

int8_t narrow(int n) { return (int8_t)n; }

void nothing(void)
{
    printf("nothing, %d\n", called);
    fflush(stdout);
}
