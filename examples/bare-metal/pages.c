/* Free pages, the address spaces of tasks, and memory that is there when it is touched. */
#include "kernel.h"

enum { FRAMES = 640, ENTRIES = 512 };
#define WINDOW 0x80000000ull

static uint8_t pool[FRAMES][PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
static frame_t free_frames[FRAMES];
static unsigned free_count;
static uint64_t *window_table;
static frame_t mailbox;
uint64_t given_on_fault;
extern char user_loaded[], user_bytes[];

frame_t frame_take(void)
{
    if (!free_count) panic("out of memory: all %u pages are taken", (uint64_t)FRAMES);
    return free_frames[--free_count];
}

void frame_give(frame_t frame)
{
    free_frames[free_count++] = frame;
}

void frame_clear(frame_t frame)
{
    uint64_t words = PAGE_BYTES / 8;
    __asm__ volatile("rep stosq" : "+D"(frame), "+c"(words) : "a"(0ull) : "memory");
}

void (*clear_page)(frame_t) = frame_clear;

static uint64_t *table_make(uint64_t *entry)
{
    frame_t frame = frame_take();
    frame_clear(frame);
    *entry = frame | PRESENT | WRITABLE | USER; /* the last level says whether it is the user's */
    return (uint64_t *)frame;
}

void pages_open(void)
{
    for (unsigned i = 0; i < FRAMES; i++) frame_give((frame_t)pool[i]);
    window_table = table_make(table_make(&page_directories[WINDOW >> 30]));
    mailbox = frame_take();
    frame_clear(mailbox);
}

/* The 2 MiB around a device's registers, where they are; not cached. */
void *map_device(uint64_t address)
{
    uint64_t *directory = table_make(&page_directories[address >> 30]);
    directory[address >> 21 & (ENTRIES - 1)] = (address & ~0x1fffffull) | PRESENT | WRITABLE | UNCACHED | LARGE;
    return (void *)address;
}

uint64_t *window_entry(uint32_t page)
{
    return &window_table[page % ENTRIES];
}

uint64_t *window_address(uint32_t page)
{
    return (uint64_t *)(WINDOW + page % ENTRIES * PAGE_BYTES);
}

static void map(struct task *task, uint64_t address, frame_t frame, uint64_t rights)
{
    task->table[address / PAGE_BYTES % ENTRIES] = frame | rights | PRESENT | USER;
}

/* The kernel's half is shared; code is shared and read-only; page and stack are the task's own, at the same address. */
void address_space_make(struct task *task)
{
    uint64_t root = 0, *directories = table_make(table_make(&root));
    task->own_root = root & ~0xfffull;
    directories[0] = page_directories[0];
    task->table = table_make(table_make(&directories[USER_CODE >> 30]));
    for (uint64_t at = 0; at < (uint64_t)user_bytes; at += PAGE_BYTES)
        map(task, USER_CODE + at, (uint64_t)user_loaded + at, 0);
    task->page = (struct task_page *)frame_take();
    frame_clear((frame_t)task->page);
    map(task, USER_PAGE, (frame_t)task->page, WRITABLE);
    map(task, USER_STACK_TOP - PAGE_BYTES, frame_take(), WRITABLE);
    map(task, USER_MAILBOX, mailbox, WRITABLE);
}

/* First touch of a page of the region: it gets memory, and no word of whoever had it before. */
bool page_fault(uint64_t address)
{
    if (address < USER_REGION || address >= USER_REGION + REGION_PAGES * PAGE_BYTES || !current->table) return false;
    if (current->table[address / PAGE_BYTES % ENTRIES]) return false; /* it is there: they broke another rule */
    frame_t frame = frame_take();
    clear_page(frame);
    map(current, address, frame, WRITABLE);
    given_on_fault++;
    return true;
}

int64_t region_unmap(void)
{
    int64_t freed = 0;
    for (uint64_t address = USER_REGION; address < USER_REGION + REGION_PAGES * PAGE_BYTES; address += PAGE_BYTES) {
        uint64_t *entry = &current->table[address / PAGE_BYTES % ENTRIES];
        if (!*entry) continue;
        frame_give(*entry & ~0xfffull);
        *entry = 0;
        flush((void *)address);
        freed++;
    }
    return freed;
}
