/* A ring of requests that the kernel takes and answers: io_uring, with a request that asks for nothing. */

#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    int fd;
    uint32_t *tail, *mask;                                   /* of the submissions: ours to move */
    uint32_t *completed_head, *completed_tail, *completed_mask, *overflow;
    struct io_uring_sqe *submissions;
    struct io_uring_cqe *completions;
    uint32_t *array;
} ring;

static unsigned char *map_ring(size_t size, uint64_t offset)
{
    void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, (off_t)offset);
    if (mapped == MAP_FAILED) die("mapping a ring");
    return mapped;
}

static void nop_prepare(void)
{
    enum { ENTRIES = 8 };
    struct io_uring_params p = { 0 };
    if ((ring.fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &p)) < 0) unsupported("io_uring_setup");
    unsigned char *in = map_ring(p.sq_off.array + p.sq_entries * sizeof(uint32_t), IORING_OFF_SQ_RING);
    unsigned char *out = map_ring(p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
    ring.tail = (uint32_t *)(void *)(in + p.sq_off.tail), ring.mask = (uint32_t *)(void *)(in + p.sq_off.ring_mask);
    ring.array = (uint32_t *)(void *)(in + p.sq_off.array);
    ring.completed_head = (uint32_t *)(void *)(out + p.cq_off.head), ring.completed_tail = (uint32_t *)(void *)(out + p.cq_off.tail);
    ring.completed_mask = (uint32_t *)(void *)(out + p.cq_off.ring_mask), ring.overflow = (uint32_t *)(void *)(out + p.cq_off.overflow);
    ring.completions = (struct io_uring_cqe *)(void *)(out + p.cq_off.cqes);
    ring.submissions = (struct io_uring_sqe *)(void *)map_ring(p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
}

static void submit(uint64_t cookie)
{
    uint32_t tail = *ring.tail, slot = tail & *ring.mask;
    ring.submissions[slot] = (struct io_uring_sqe){ .opcode = IORING_OP_NOP, .user_data = cookie + (PLANTED == WRONG_ANSWER) };
    ring.array[slot] = slot;
    __atomic_store_n(ring.tail, tail + 1, __ATOMIC_RELEASE);
}

static void nop_batch(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t cookie = S.sum + 1;
        submit(cookie);
        long taken = PLANTED == SKIP_WORK ? 1 : syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
        uint32_t head = *ring.completed_head;
        if (taken != 1 || __atomic_load_n(ring.completed_tail, __ATOMIC_ACQUIRE) == head) { S.failures += n - i; return; }
        const struct io_uring_cqe *answer = &ring.completions[head & *ring.completed_mask];
        S.failures += answer->user_data != cookie || answer->res != 0;
        __atomic_store_n(ring.completed_head, head + 1, __ATOMIC_RELEASE);
        S.sum++;
    }
}

static void nop_finish(void)
{
    evidence("completed", S.sum);
    evidence("overflows", *ring.overflow);
    close(ring.fd);
}

const struct benchmark RINGS[] = {
    { "ring.nop", nop_prepare, nop_batch, nop_finish, 1 },
    { 0 },
};
