/* A TCG plugin that counts how often a program executes every instruction word.
 *
 * The program marks a point of its run with close(MARK), which changes nothing: no such file can be open. At every mark
 * the plugin writes to QEMU's log the line "mark" and, from the second mark on, a line "word times" for every word that
 * has been executed since the mark before: the word in eight hexadecimal digits, the number in decimal ones. What kind
 * of instruction a word is does not matter here. The counters are shared by all threads: the program must have but one.
 *
 * The prototypes are those of QEMU's plugin interface, version 1 (QEMU 4.2 to 8.2); QEMU resolves them when it loads the
 * plugin. Nothing else is called, so that the plugin needs no header, no library and no certain libc.
 */

typedef unsigned int u32;
typedef unsigned long u64;

#define EXPORT __attribute__((visibility("default")))
#define MARK (-0x74666b64) /* minus "tfkd" in ASCII */
#define SYSCALL_CLOSE 57   /* of 64-bit ARM Linux */
#define BITS 20            /* room for a million different words; Python and LiteRT together execute 110 thousand */

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void on_block(u64 id, struct qemu_plugin_tb *block);
typedef void on_call(u64 id, u32 core, long number, u64 first, u64, u64, u64, u64, u64, u64, u64);

extern u64 qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, u64 index);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *instruction);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *instruction, int operation,
                                                       void *counter, u64 amount);
extern void qemu_plugin_register_vcpu_tb_trans_cb(u64 id, on_block *translated);
extern void qemu_plugin_register_vcpu_syscall_cb(u64 id, on_call *called);
extern void qemu_plugin_outs(const char *text);

EXPORT int qemu_plugin_version = 1;

enum { ADD = 0 }; /* the only inline operation of this interface */

struct entry {
    u64 times, reported;
    u32 word, used;
};

static struct entry table[1u << BITS];
static u32 entries;

/* Finds a word's entry by open addressing; 0 when the table is as good as full. */
static struct entry *entry_of(u32 word)
{
    u32 place = word * 2654435769u >> (32 - BITS); /* Knuth's multiplicative hash */

    while (table[place].used && table[place].word != word)
        place = (place + 1) & ((1u << BITS) - 1);
    if (!table[place].used) {
        if (entries == (1u << BITS) - (1u << (BITS - 3)))
            return 0;
        entries++;
        table[place].used = 1;
        table[place].word = word;
    }
    return &table[place];
}

static void translated(u64 id, struct qemu_plugin_tb *block)
{
    u64 length = qemu_plugin_tb_n_insns(block);

    (void)id;
    for (u64 index = 0; index < length; index++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, index);
        const unsigned char *byte = qemu_plugin_insn_data(instruction);
        struct entry *entry = entry_of(byte[0] | (u32)byte[1] << 8 | (u32)byte[2] << 16 | (u32)byte[3] << 24);

        if (entry)
            qemu_plugin_register_vcpu_insn_exec_inline(instruction, ADD, &entry->times, 1);
        else
            qemu_plugin_outs("full\n");
    }
}

static void write_line(const struct entry *entry)
{
    char line[32], digits[20], *end = line;
    u64 number = entry->times - entry->reported;
    int length = 0;

    for (int shift = 28; shift >= 0; shift -= 4)
        *end++ = "0123456789abcdef"[entry->word >> shift & 15];
    *end++ = ' ';
    do
        digits[length++] = (char)('0' + number % 10);
    while (number /= 10);
    while (length)
        *end++ = digits[--length];
    *end++ = '\n';
    *end = 0;
    qemu_plugin_outs(line);
}

static void called(u64 id, u32 core, long number, u64 first, u64 b, u64 c, u64 d, u64 e, u64 f, u64 g, u64 h)
{
    static int marked;

    (void)id, (void)core, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != SYSCALL_CLOSE || (int)first != MARK)
        return;
    qemu_plugin_outs("mark\n");
    for (struct entry *entry = table; entry < table + (1u << BITS); entry++) {
        if (marked && entry->times != entry->reported)
            write_line(entry);
        entry->reported = entry->times;
    }
    marked = 1;
}

EXPORT int qemu_plugin_install(u64 id, const void *info, int argc, char **argv)
{
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
