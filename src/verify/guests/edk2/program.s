# A program of UEFI: one word of its command line is a file's name; what it is to ask of the
# firmware's PXE or HTTP boot client stands in the data at its end. Its status is that client's.
# Position-independent and without data of its own that it writes. Calls are those of the
# UEFI specification 2.10 (chapters 4, 7, 13, 24): rcx, rdx, r8, r9, then from [rsp + 0x20] on.

    .pushsection .rodata.lanfence_edk2_program, "a"
    .globl lanfence_edk2_program
    .globl lanfence_edk2_program_end
lanfence_edk2_program:
    push rbx
    push rbp
    push rsi
    push rdi
    push r12
    push r13
    sub rsp, 0x6f8
    mov rbx, [rdx + 0x60]               # SystemTable->BootServices
    lea rdx, [rip + 90f]                # LoadedImage
    lea r8, [rsp + 0x60]
    call [rbx + 0x98]                   # HandleProtocol
    test rax, rax
    jnz 80f
    mov rax, [rsp + 0x60]
    mov rsi, [rax + 0x38]               # LoadOptions: the command line
    mov ecx, [rax + 0x30]               # LoadOptionsSize
    shr ecx, 1
    lea rdi, [rsp + 0x104]              # the text: what comes before the name, and the name
    lea rdx, [rip + 98f]
25: mov al, [rdx]
    test al, al
    jz 26f
    mov [rdi], al
    inc rdi
    inc rdx
    jmp 25b
26: mov rbp, rdi                        # where the name begins
27: test ecx, ecx
    jz 29f
    mov ax, [rsi]
    test ax, ax
    jz 29f
    add rsi, 2
    dec ecx
    cmp ax, 32
    jne 28f
    mov rdi, rbp                        # another word: the last one counts
    jmp 27b
28: mov [rdi], al
    inc rdi
    jmp 27b
29: mov byte ptr [rdi], 0
    movzx r13d, byte ptr [rip + 94f]    # what to do
    cmp r13d, 3
    je 40f

    # PXE.
    lea rcx, [rip + 91f]                # PxeBaseCode
    xor edx, edx
    lea r8, [rsp + 0x60]
    call [rbx + 0x140]                  # LocateProtocol
    test rax, rax
    jnz 80f
    mov rsi, [rsp + 0x60]
    cmp r13d, 1
    je 30f
    cmp r13d, 2
    je 35f
    mov rcx, rsi
    xor edx, edx
    call [rsi + 8]                      # Start, IPv4
    mov rcx, rsi
    xor edx, edx
    call [rsi + 24]                     # Dhcp, offers not sorted
    test rax, rax
    jz 80f
    mov rdi, rax
    mov rcx, rsi
    lea rdx, [rip + 96f]
    lea r8, [rip + 97f]
    call [rsi + 88]                     # SetStationIp: the address that is kept for it
    mov rax, rdi
    jmp 80f
30: mov qword ptr [rsp + 0x68], 0x200   # room for the file
    mov rcx, rsi
    mov edx, 2                          # EFI_PXE_BASE_CODE_TFTP_READ_FILE
    lea r8, [rsp + 0x400]
    xor r9d, r9d
    lea rax, [rsp + 0x68]
    mov [rsp + 0x20], rax
    mov qword ptr [rsp + 0x28], 0
    lea rax, [rip + 95f]
    mov [rsp + 0x30], rax               # the server
    mov [rsp + 0x38], rbp               # the name
    mov qword ptr [rsp + 0x40], 0
    mov qword ptr [rsp + 0x48], 0
    call [rsi + 40]                     # Mtftp
    jmp 80f
35: mov rcx, rsi
    call [rsi + 16]                     # Stop
    jmp 80f

    # HTTP boot: a device path with the address of the file, for the client of IPv4.
40: lea rax, [rsp + 0x100]
    mov rcx, rdi
    sub rcx, rax
    mov word ptr [rax], 0x1803          # a node of messaging, URI
    mov [rax + 2], cx
    mov dword ptr [rdi], 0x0004ff7f     # the end of the path
    mov ecx, 2                          # ByProtocol
    lea rdx, [rip + 92f]                # LoadFile
    xor r8d, r8d
    lea r9, [rsp + 0x68]
    lea rax, [rsp + 0x70]
    mov [rsp + 0x20], rax
    call [rbx + 0x138]                  # LocateHandleBuffer
    test rax, rax
    jnz 80f
    mov r12, [rsp + 0x70]
    mov r13, [rsp + 0x68]
41: mov rax, 0x800000000000000e         # EFI_NOT_FOUND
    dec r13
    js 80f
    mov rcx, [r12]
    add r12, 8
    lea rdx, [rip + 93f]                # DevicePath
    lea r8, [rsp + 0x60]
    call [rbx + 0x98]
    test rax, rax
    jnz 41b
    mov rsi, [rsp + 0x60]
    xor edx, edx
42: mov ax, [rsi]
    cmp al, 0x7f
    je 45f
    cmp ax, 0x0c03                      # IPv4
    jne 43f
    or edx, 1
43: cmp ax, 0x1803                      # URI
    jne 44f
    or edx, 2
44: movzx eax, word ptr [rsi + 2]
    add rsi, rax
    jmp 42b
45: cmp edx, 3
    jne 41b
    mov rcx, [r12 - 8]
    lea rdx, [rip + 92f]
    lea r8, [rsp + 0x60]
    call [rbx + 0x98]
    test rax, rax
    jnz 80f
    mov rcx, [rsp + 0x60]
    lea rdx, [rsp + 0x100]
    mov r8d, 1                          # as at a boot
    lea r9, [rsp + 0x78]
    mov qword ptr [rsp + 0x78], 0       # no room: it asks for the file's size first
    mov qword ptr [rsp + 0x20], 0
    call [rcx]                          # LoadFile

80: add rsp, 0x6f8
    pop r13
    pop r12
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    ret

    .balign 8
90: .byte 0xa1, 0x31, 0x1b, 0x5b, 0x62, 0x95, 0xd2, 0x11, 0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b
91: .byte 0x03, 0xe6, 0xc4, 0x03, 0x28, 0xac, 0xd3, 0x11, 0x9a, 0x2d, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d
92: .byte 0x91, 0x30, 0xec, 0x56, 0x4c, 0x95, 0xd2, 0x11, 0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b
93: .byte 0x91, 0x6e, 0x57, 0x09, 0x3f, 0x6d, 0xd2, 0x11, 0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b

    # The last 120 bytes, filled in by program.rs: what to do, then the server's address, the
    # guest's and its mask, each with room for IPv6, and what comes before the name.
    .balign 8
94: .zero 8
95: .zero 16
96: .zero 16
97: .zero 16
98: .zero 64
lanfence_edk2_program_end:
    .popsection
