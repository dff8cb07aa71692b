/* The serial port COM1, and lines on it. Nothing here is ever called between two readings of the clock. */
#include <stdarg.h>
#include "kernel.h"

enum { DATA = 0x3f8, INTERRUPTS, FIFO, LINE, MODEM, STATUS, DEBUG_EXIT = 0xf4 };

uint64_t lines_said;
enum next_sample next_sample; /* a planted fault: see faults.c */

void console_open(void)
{
    out8(INTERRUPTS, 0);
    out8(LINE, 0x80); /* the next two bytes are the divisor: 115,200 baud */
    out8(DATA, 1);
    out8(INTERRUPTS, 0);
    out8(LINE, 0x03); /* 8 bits, no parity, one stop bit */
    out8(FIFO, 0x07);
    out8(MODEM, 0x03);
}

static void put(char character)
{
    while (!(in8(STATUS) & 0x20)) {}
    out8(DATA, (uint8_t)character);
}

static void put_text(const char *text)
{
    while (*text) put(*text++);
}

static void put_number(uint64_t number, unsigned base, unsigned digits)
{
    char text[20];
    unsigned used = 0;
    do {
        text[used++] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number || used < digits);
    while (used) put(text[--used]);
}

static void put_format(const char *format, va_list values)
{
    for (; *format; format++) {
        if (*format != '%') { put(*format); continue; }
        switch (*++format) {
        case 's': put_text(va_arg(values, const char *)); break;
        case 'u': put_number(va_arg(values, uint64_t), 10, 1); break;
        case 'x': put_number(va_arg(values, uint64_t), 16, 16); break;
        }
    }
}

void write(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    put_format(format, values);
    va_end(values);
}

void say(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    lines_said++;
    enum next_sample how = format[0] == 's' && format[1] == 'a' ? next_sample : WHOLE;
    if (how != WHOLE) next_sample = WHOLE;
    if (how != LOST) {
        put_text("@bp ");
        put_format(how == CUT ? "sample %s" : format, values);
        put('\n');
    }
    va_end(values);
}

/* A kernel that is lost says so in words that a reader of its console knows, and never ends as if all were well. */
void panic(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    put_text("panic: ");
    put_format(format, values);
    put('\n');
    va_end(values);
    leave(1);
}

/* QEMU's isa-debug-exit ends the machine with exit status 2 * code + 1. */
void leave(uint8_t code)
{
    out8(DEBUG_EXIT, code);
    for (;;) __asm__ volatile("cli; hlt");
}
