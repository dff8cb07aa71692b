/* QEMU starts this by its PVH note, or (with -DMULTIBOOT) by its multiboot header; both in 32-bit protected mode. */
#ifdef MULTIBOOT
.section .note.Xen, "a", @note
.align 4
.long 0x1BADB002, 0, -0x1BADB002
#else
.section .note.Xen, "a", @note
.align 4
.long 4, 4, 18
.asciz "Xen"
.long _start
#endif
.text
.globl _start
_start:
    cli
    mov $stack_top, %esp
    push %ebx
    push %eax
    call kernel_main
1:  hlt
    jmp 1b
.bss
.align 16
.skip 4096
stack_top:
.section .note.GNU-stack, "", @progbits
