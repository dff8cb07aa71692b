# The three ways into the kernel (system call, exception, interrupt) and the switch from one task to another.

.text
.globl syscall_entry, syscall_return, switch_stacks, touch, touch_failed, trap_stubs

# `syscall` has put the return address into rcx and the flags into r11, and switched interrupts off. There is one
# CPU, so the running task's kernel stack is found in a variable.
syscall_entry:
    mov %rsp, user_stack(%rip)
    mov kernel_stack(%rip), %rsp
    push user_stack(%rip)
    push %rcx
    push %r11
    sub $8, %rsp                        # the C ABI wants a stack of 16 bytes' alignment
    call ring_enter
    add $8, %rsp
syscall_return:                         # a new task begins here, with a stack that looks as if it had entered
    pop %r11
    pop %rcx
    pop %rsp
    sysretq

# switch_stacks(rdi = where to leave our stack pointer, rsi = the stack pointer to go on with)
switch_stacks:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

# bool touch(rdi = address): whether it can be read. The page fault handler sends us to touch_failed if not.
touch:
    mov (%rdi), %rax
    mov $1, %eax
    ret
touch_failed:
    xor %eax, %eax
    ret

# One stub of 16 bytes for each vector. Those without an error code push a 0 in its place.
.align 16
trap_stubs:
.set vector, 0
.rept 33
    .align 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
    push $0
    .endif
    push $vector
    jmp trap_entry
    .set vector, vector + 1
.endr

trap_entry:                             # the order of struct frame in kernel.h, from its end to its beginning
    push %rax
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    cld
    mov %rsp, %rdi
    call trap                           # callee-saved registers are C's business
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rdx
    pop %rcx
    pop %rax
    add $16, %rsp
    iretq

.bss
user_stack:
    .skip 8
