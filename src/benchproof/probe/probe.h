/* What probe.c (benchmarks) and agent.c (supervisor, guest init, self-tests) share. */
#ifndef BENCHPROOF_PROBE_H
#define BENCHPROOF_PROBE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROBE_VERSION 1

/* A build for the tests plants a fault in the operation itself; 0, the real build, compiles to nothing. */
#ifndef PLANTED
#define PLANTED 0
#endif
enum { SKIP_WORK = 1, WRONG_ANSWER = 2, STOPPED_CLOCK = 3, FAST_CLOCK = 4, WIDE_AUTHORITY = 5, SLOW_CLOCK = 6, EXTRA_NOP = 7, NO_DELAY = 8 };

uint32_t crc32_of(uint32_t crc, const void *data, size_t size);
_Noreturn void die(const char *what); /* prints `what` and errno on stderr, exit status 70 */
void write_all(int fd, const void *data, size_t size);

int serve_as_init(void);
int supervise(int lifeline_fd, char **argv);
int self_test(int argc, char **argv); /* -1: not a self-test command */

#endif
