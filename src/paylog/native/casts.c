/* Strict casts of one token, as casts.py has them for a column. What is rare is a misfit: Python casts it. */
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include "cells.h"

#define DIGIT(c) ((uint8_t)((c) - '0') < 10)
#define MOST_DIGITS 19            /* fit in 64 bits */
#define EXACT_POWER 22            /* 10^22 is a double */
#define FIVES 27                  /* 5^27 fits in 64 bits */

static void trim(const uint8_t **s, const uint8_t **end) {
    while (*s < *end && **s == ' ') ++*s;
    while (*s < *end && (*end)[-1] == ' ') --*end;
}

/* nan, inf and infinity, whatever their case: the number that is none. */
static int not_finite(const uint8_t *s, const uint8_t *end) {
    static const char *const words[] = {"nan", "inf", "infinity"};
    if (s < end && (*s == '+' || *s == '-')) s++;
    for (int i = 0; i < 3; i++) {
        const char *word = words[i];
        const uint8_t *at = s;
        while (at < end && *word && (*at | 32) == *word) { at++; word++; }
        if (at == end && !*word) return 1;
    }
    return 0;
}

int paylog_integer(const uint8_t *s, const uint8_t *end, int64_t *value) {
    trim(&s, &end);
    const uint8_t *whole = s;
    int negative = s < end && *s == '-';
    if (negative || (s < end && *s == '+')) s++;
    const uint8_t *first = s;
    uint64_t sum = 0;
    while (s < end && DIGIT(*s)) sum = sum * 10 + (*s++ - '0');
    if (s == first) return not_finite(whole, end) ? IS_NULL : MISFIT;
    if (s - first > MOST_DIGITS || sum > (uint64_t)INT64_MAX + negative) return MISFIT;
    if (s < end && *s == '.') do s++; while (s < end && *s == '0');
    *value = (int64_t)(negative ? 0 - sum : sum);
    return s == end ? FITS : MISFIT;
}

#ifdef __SIZEOF_INT128__
typedef unsigned __int128 Wide;

/* bits × 2^power, the highest bit of bits set, more: whether anything lies below it. To the nearest, ties to even. */
static double rounded(uint64_t bits, int power, int more) {
    uint64_t mantissa = bits >> 11, rest = bits & 0x7FF, scale_bits = (uint64_t)(power + 11 + 1023) << 52;
    double scale;
    if (rest > 0x400 || (rest == 0x400 && (more || (mantissa & 1)))) mantissa++;
    memcpy(&scale, &scale_bits, 8);
    return (double)mantissa * scale;
}

static const uint64_t fives[FIVES + 1] = {
    1u, 5u, 25u, 125u, 625u, 3125u, 15625u, 78125u, 390625u, 1953125u, 9765625u, 48828125u, 244140625u,
    1220703125u, 6103515625ull, 30517578125ull, 152587890625ull, 762939453125ull, 3814697265625ull,
    19073486328125ull, 95367431640625ull, 476837158203125ull, 2384185791015625ull, 11920928955078125ull,
    59604644775390625ull, 298023223876953125ull, 1490116119384765625ull, 7450580596923828125ull,
};

/* digits × 10^power for 0 < digits and |power| up to FIVES: exact in 128 bits before it is rounded. */
static double scaled(uint64_t digits, int power) {
    uint64_t five = fives[abs(power)];
    int digits_up = __builtin_clzll(digits), five_up = __builtin_clzll(five);
    digits <<= digits_up;
    five <<= five_up;
    if (power < 0) {
        int up = digits < five ? 64 : 63;
        Wide dividend = (Wide)digits << up;
        uint64_t quotient = (uint64_t)(dividend / five);
        return rounded(quotient, five_up - digits_up + power - up, dividend != (Wide)quotient * five);
    }
    Wide product = (Wide)digits * five;
    int up = !(product >> 127);
    product <<= up;
    return rounded((uint64_t)(product >> 64), 64 - up - digits_up - five_up + power, (uint64_t)product != 0);
}
#endif

/* By the C library, which rounds correctly but reads the decimal point of its locale. */
static int by_library(const uint8_t *s, const uint8_t *end, double *value) {
    char text[64];
    if ((size_t)(end - s) >= sizeof text || strcmp(localeconv()->decimal_point, ".")) return MISFIT;
    memcpy(text, s, end - s);
    text[end - s] = 0;
    *value = strtod(text, NULL);
    return isfinite(*value) ? FITS : MISFIT;
}

int paylog_double(const uint8_t *s, const uint8_t *end, double *value) {
    static const double tens[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    trim(&s, &end);
    const uint8_t *whole = s;
    int negative = s < end && *s == '-', power = 0, count = 0;
    if (negative || (s < end && *s == '+')) s++;
    const uint8_t *first = s;
    uint64_t sum = 0;
    for (; s < end && DIGIT(*s); s++) { sum = sum * 10 + (*s - '0'); count += count || sum; }
    int some = s > first;
    if (s < end && *s == '.') {
        first = ++s;
        for (; s < end && DIGIT(*s); s++) { sum = sum * 10 + (*s - '0'); count += count || sum; }
        power = -(int)(s - first);
        some |= s > first;
    }
    if (!some) return not_finite(whole, end) ? IS_NULL : MISFIT;
    if (s < end && (*s | 32) == 'e') {
        int down = ++s < end && *s == '-', exponent = 0;
        if (down || (s < end && *s == '+')) s++;
        for (first = s; s < end && DIGIT(*s); s++) if (exponent < 10000) exponent = exponent * 10 + (*s - '0');
        if (s == first) return MISFIT;
        power += down ? -exponent : exponent;
    }
    if (s != end) return MISFIT;
    if (count > MOST_DIGITS || end - whole > 60) return by_library(whole, end, value);
    if (!sum) *value = 0;
    else if (FLT_EVAL_METHOD == 0 && sum <= 1ull << 53 && abs(power) <= EXACT_POWER)
        *value = power < 0 ? (double)sum / tens[-power] : (double)sum * tens[power];
#ifdef __SIZEOF_INT128__
    else if (abs(power) <= FIVES) *value = scaled(sum, power);
#endif
    else return by_library(whole, end, value);
    if (negative) *value = -*value;
    return FITS;
}

/* A number rounded to a whole one, ties to even, where that is exact. */
int paylog_rounded(const uint8_t *s, const uint8_t *end, int64_t *value) {
    double number;
    int fits = paylog_double(s, end, &number);
    if (fits != FITS) return fits;
    if (!(fabs(number) < 1ll << 52)) return MISFIT;
    *value = (int64_t)number;
    double over = fabs(number - (double)*value);
    if (over > 0.5 || (over == 0.5 && (*value & 1))) *value += number < 0 ? -1 : 1;
    return FITS;
}

int paylog_boolean(const uint8_t *s, const uint8_t *end, uint8_t *value) {
    static const char *const words[] = {"true", "True", "TRUE", "1", "false", "False", "FALSE", "0"};
    for (int i = 0; i < 8; i++)
        if ((size_t)(end - s) == strlen(words[i]) && !memcmp(s, words[i], end - s)) {
            *value = i < 4;
            return FITS;
        }
    return MISFIT;
}

/* A number of so many digits, -1 where they are none. */
static int part(const uint8_t *s, int size) {
    int sum = 0;
    for (int i = 0; i < size; i++) {
        if (!DIGIT(s[i])) return -1;
        sum = sum * 10 + (s[i] - '0');
    }
    return sum;
}

/* Days since 1970-01-01 of a date in the Gregorian calendar; years are counted from March. */
static int64_t days(int year, int month, int day) {
    year -= month < 3;
    int64_t of_year = (153 * (month + (month < 3 ? 9 : -3)) + 2) / 5 + day - 1;
    return 365ll * year + year / 4 - year / 100 + year / 400 + of_year - 719468;
}

/* Minutes that a zone (Z, +hh, +hhmm, +hh:mm) is ahead of UTC. */
static int zone(const uint8_t *s, const uint8_t *end, int *minutes) {
    *minutes = 0;
    if (end - s == 1) return *s == 'Z';
    if (s == end || (*s != '+' && *s != '-')) return 0;
    int sign = *s++ == '-' ? -1 : 1, hour, minute = 0;
    if (end - s < 2 || (hour = part(s, 2)) < 0 || hour > 23) return 0;
    s += 2;
    if (s < end && *s == ':' && end - s == 3) s++;
    if (s < end && (end - s != 2 || (minute = part(s, 2)) < 0 || minute > 59)) return 0;
    *minutes = sign * (60 * hour + minute);
    return 1;
}

/* ISO 8601 with seconds and a zone → microseconds since 1970, UTC; what is below them is cut off. */
int paylog_timestamp(const uint8_t *s, const uint8_t *end, int64_t *value) {
    static const uint8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (end - s < 20 || s[4] != '-' || s[7] != '-' || (s[10] != 'T' && s[10] != ' ') || s[13] != ':' ||
        s[16] != ':') return MISFIT;
    int year = part(s, 4), month = part(s + 5, 2), day = part(s + 8, 2);
    int hour = part(s + 11, 2), minute = part(s + 14, 2), second = part(s + 17, 2), ahead;
    if (year < 1600 || month < 1 || month > 12 || day < 1 || day > lengths[month - 1] || hour < 0 || hour > 23 ||
        minute < 0 || minute > 59 || second < 0 || second > 59 || year > 9000) return MISFIT;
    if (month == 2 && day == 29 && (year % 4 || (year % 100 == 0 && year % 400))) return MISFIT;
    s += 19;
    int64_t micro = 0, unit = 1000000;
    if (*s == '.') {
        if (++s == end || !DIGIT(*s)) return MISFIT;
        for (; s < end && DIGIT(*s); s++) { unit /= 10; micro += unit * (*s - '0'); }
    }
    if (!zone(s, end, &ahead)) return MISFIT;
    int64_t minutes = (days(year, month, day) * 24 + hour) * 60 + minute - ahead;
    *value = (minutes * 60 + second) * 1000000 + micro;
    return FITS;
}
