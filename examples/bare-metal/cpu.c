/* The processor's tables: interrupts, task state, the system call's registers; and what happens at a trap. */
#include "kernel.h"

enum { PAGE_FAULT = 14, TIMER = 32, VECTORS = 33, STUB_BYTES = 16, INTERRUPT_GATE = 0x8e };
enum { PIC = 0x20, PIC_MASK = 0x21, SECOND_PIC_MASK = 0xa1, END_OF_INTERRUPT = 0x20 };
enum { SPURIOUS = 0xf0 / 4, LOCAL_LINE_0 = 0x350 / 4 };

struct gate {
    uint16_t low, selector;
    uint8_t stack, kind;
    uint16_t middle;
    uint32_t high, zero;
};

struct __attribute__((packed)) table {
    uint16_t limit;
    uint64_t address;
};

static struct __attribute__((packed)) {
    uint32_t reserved;
    uint64_t stacks[3], none, interrupt_stacks[7], none_either;
    uint16_t zero, permissions;
} state;

static struct gate gates[VECTORS];
static uint8_t fault_stack[PAGE_BYTES] __attribute__((aligned(16)));
extern uint64_t gdt[7];
uint64_t kernel_stack;

static void write_register(uint32_t number, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(number), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

/* From ring 3, a system call finds its stack by `kernel_stack`, an interrupt by the task state segment. */
void enter_on(uint64_t stack_top)
{
    kernel_stack = state.stacks[0] = stack_top;
}

static void task_state_open(void)
{
    uint64_t base = (uint64_t)&state;
    state.interrupt_stacks[0] = (uint64_t)(fault_stack + sizeof fault_stack);
    state.permissions = sizeof state;
    gdt[5] = (sizeof state - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    gdt[6] = base >> 32;
    __asm__ volatile("ltr %0" : : "r"((uint16_t)0x28));
}

static void interrupts_open(void)
{
    for (unsigned vector = 0; vector < VECTORS; vector++) {
        uint64_t stub = (uint64_t)trap_stubs + vector * STUB_BYTES;
        uint8_t stack = vector == 8; /* a double fault may mean that there is no good stack: it has one of its own */
        gates[vector] = (struct gate){ (uint16_t)stub, 0x08, stack, INTERRUPT_GATE, (uint16_t)(stub >> 16), 0, 0 };
    }
    struct table table = { sizeof gates - 1, (uint64_t)gates };
    __asm__ volatile("lidt %0" : : "m"(table));
    static const uint8_t words[] = { 0x11, TIMER, 0x04, 0x01 }; /* edges, first vector, the second PIC's line, 8086 */
    for (unsigned i = 0; i < sizeof words; i++) out8(i ? PIC_MASK : PIC, words[i]);
    out8(PIC_MASK, 0xfe); /* the timer alone, and it is silent until it is asked */
    out8(SECOND_PIC_MASK, 0xff);
    /* The PIC reaches the processor through the local APIC. A BIOS leaves it so, but not every machine has one. */
    volatile uint32_t *apic = map_device(0xfee00000);
    apic[SPURIOUS] = 0x1ff;       /* switched on */
    apic[LOCAL_LINE_0] = 0x700;   /* not masked: ask the PIC */
}

void cpu_open(void)
{
    task_state_open();
    interrupts_open();
    write_register(0xc0000081, 0x10ull << 48 | 0x08ull << 32); /* STAR: the segments of both rings */
    write_register(0xc0000082, (uint64_t)syscall_entry);       /* LSTAR */
    write_register(0xc0000084, 0x700);                         /* SFMASK: no interrupts, no traps, strings upwards */
}

void trap(struct frame *frame)
{
    uint64_t address;
    __asm__ volatile("mov %%cr2, %0" : "=r"(address));
    if (frame->vector == TIMER) {
        alarm_rang();
        out8(PIC, END_OF_INTERRUPT);
    } else if (frame->vector == PAGE_FAULT && frame->rip == (uint64_t)touch) {
        frame->rip = (uint64_t)touch_failed;
    } else if (frame->vector != PAGE_FAULT || !page_fault(address)) {
        panic("unhandled exception %u at 0x%x, error 0x%x, address 0x%x",
            frame->vector, frame->rip, frame->error, address);
    }
}
