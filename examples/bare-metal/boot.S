# From where QEMU leaves us (PVH: 32-bit protected mode, no paging, ebx = start info) to C in 64-bit long mode.

.section .note.Xen, "a", @note          # this note makes the ELF file bootable by `qemu -kernel`
    .align 4
    .long 4, 4, 18                      # bytes of name and value, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long start

.text
.code32
.globl start
start:
    cli
    cld
    mov $boot_stack_top, %esp
    rdtsc                               # the first thing that we do: how long booting takes is told by it
    mov %eax, boot_ticks
    mov %edx, boot_ticks + 4

    # Four levels of page tables: the first GiB is mapped to itself in 2 MiB pages, for the kernel alone (no U bit).
    movl $page_directories + 3, page_root
    movl $kernel_directory + 3, page_directories
    mov $0x83, %eax                     # present, writable, large
    mov $kernel_directory, %edi
1:  mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    cmp $kernel_directory + 4096, %edi
    jne 1b
    # Entries higher up must let ring 3 through; the pages themselves say who may touch them.
    orl $4, page_root

    mov %cr4, %eax
    or $0x20, %eax                      # PAE, which long mode demands
    mov %eax, %cr4
    mov $page_root, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx               # EFER: system calls, long mode
    rdmsr
    or $0x101, %eax
    wrmsr
    mov $0x80010001, %eax               # paging, write protection for the kernel too, protected mode
    mov %eax, %cr0
    lgdt gdt_pointer
    ljmp $0x08, $1f

.code64
1:  mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov %ebx, %edi
    call kernel_main                    # never returns
    ud2

.data
.align 8
.globl gdt, boot_ticks
boot_ticks:
    .quad 0
gdt:                                    # the order of the user's segments is what `sysret` asks for
    .quad 0
    .quad 0x00af9a000000ffff            # 0x08: kernel code, 64 bits
    .quad 0x00cf92000000ffff            # 0x10: kernel data
    .quad 0x00cff2000000ffff            # 0x18: user data
    .quad 0x00affa000000ffff            # 0x20: user code, 64 bits
    .quad 0, 0                          # 0x28: task state segment, see cpu.c
gdt_pointer:
    .word . - gdt - 1
    .quad gdt

.bss
.align 4096
.globl page_root, page_directories, kernel_directory, boot_stack_top
page_root:
    .skip 4096
page_directories:
    .skip 4096
kernel_directory:
    .skip 4096
    .skip 16384
boot_stack_top:
