/* The golden vectors: schemas/golden/NAME.hex has a message of every type, its values and its
 * bytes. They are what other people's clients are tested with: a changed byte is a broken promise.
 *
 *   test_golden              compare
 *   test_golden --write DIR  write the files that are missing; a file that is there is never
 * changed */
#include "tests/unit/message_samples.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { HEX_IN_LINE = 32, TEXT_MAX = 32768 };

static const char folder[] = "schemas/golden";

/* ---- the text of a vector ------------------------------------------------------------------- */

static void write_hex(FILE *out, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) fprintf(out, "%02x", data[i]);
}

static void write_bytes(FILE *out, const char *name, const uint8_t *data, size_t size) {
    fprintf(out, "\"%s\":\"", name);
    write_hex(out, data, size);
    fprintf(out, "\"");
}

static void write_number(FILE *out, const char *name, uint64_t value) {
    fprintf(out, "\"%s\":%" PRIu64, name, value);
}

static void write_list(FILE *out, const char *name, const uint32_t *items, uint32_t count) {
    fprintf(out, "\"%s\":[", name);
    for (uint32_t i = 0; i < count; i++) fprintf(out, i == 0 ? "%" PRIu32 : ",%" PRIu32, items[i]);
    fprintf(out, "]");
}

#define WRITE_u8(name) write_number(out, #name, m->name)
#define WRITE_u16 WRITE_u8
#define WRITE_u32 WRITE_u8
#define WRITE_u64 WRITE_u8
#define WRITE_id(name) write_bytes(out, #name, m->name.bytes, 16)
#define WRITE_text(name) fprintf(out, "\"%s\":\"%s\"", #name, m->name)
#define WRITE_bytes(name) write_bytes(out, #name, m->name, m->name##_size)
#define WRITE_u32s(name) write_list(out, #name, m->name, m->name##_count)

static void write_fields(FILE *out, const struct message *message) {
    const char *separator = "";
    switch (message->type) {
#define MESSAGE(id, NAME, name_, version, route, audience, doc)                                    \
    case id: {                                                                                     \
        const struct message_##name_ *m = &message->name_;
#define FIELD(kind, name, bound, doc)                                                              \
    fputs(separator, out);                                                                         \
    WRITE_##kind(name);                                                                            \
    separator = ",";
#define END(name)                                                                                  \
    break;                                                                                         \
    }
#include "schemas/messages.def"
    default: break;
    }
}

/* Write the file's text for a type: its name, its values, its bytes. Returns its length. */
static size_t vector_text(uint16_t type, char out_text[TEXT_MAX]) {
    struct message message;
    uint8_t data[MESSAGE_SIZE_MAX];
    sample_canonical(&message, type);
    size_t size = message_encode(&message, data, sizeof data);
    FILE *out = fmemopen(out_text, TEXT_MAX, "w");
    if (out == NULL || size == 0) return 0;
    fprintf(out, "# %s\n# {\"type\":%u,\"version\":%u,", message_info(type)->name, type,
            message.version);
    write_bytes(out, "request_id", message.request_id.bytes, 16);
    fprintf(out, ",\"route\":%" PRIu64 ",\"key\":%" PRIu64 ",\"fields\":{", message.route,
            message.key);
    write_fields(out, &message);
    fprintf(out, "}}\n");
    for (size_t at = 0; at < size; at += HEX_IN_LINE) {
        write_hex(out, data + at, size - at < HEX_IN_LINE ? size - at : HEX_IN_LINE);
        fprintf(out, "\n");
    }
    long length = ftell(out);
    return fclose(out) == 0 && length > 0 ? (size_t)length : 0;
}

static void path_of(const char *directory, uint16_t type, char out[256]) {
    char name[64];
    size_t i = 0;
    for (const char *c = message_info(type)->name; *c != 0; c++) {
        name[i++] = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    }
    name[i] = 0;
    snprintf(out, 256, "%s/%s.hex", directory, name);
}

/* The length of the file's text, 0 if there is none. */
static size_t read_file(const char *path, char text[TEXT_MAX]) {
    FILE *file = fopen(path, "r");
    if (file == NULL) return 0;
    size_t size = fread(text, 1, TEXT_MAX - 1, file);
    fclose(file);
    text[size] = 0;
    return size;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static char text[TEXT_MAX], wanted[TEXT_MAX];

static void the_encoder_writes_the_golden_bytes(void **state) {
    (void)state;
    for (unsigned i = 0; i < SAMPLE_TYPES; i++) {
        char path[256];
        path_of(folder, sample_types[i], path);
        size_t size = read_file(path, text);
        if (size == 0) fail_msg("%s is missing: make golden", path);
        assert_int_equal(vector_text(sample_types[i], wanted), size);
        wanted[size] = 0;
        assert_string_equal(text, wanted);
    }
}

/* The bytes in a file: all lines that are no comment. */
static size_t bytes_of(const char *from, uint8_t out[MESSAGE_SIZE_MAX]) {
    size_t size = 0;
    while (*from != 0) {
        size_t line = strcspn(from, "\n");
        for (size_t i = 0; from[0] != '#' && i + 1 < line; i += 2) {
            char hex[3] = {from[i], from[i + 1], 0};
            assert_true(size < MESSAGE_SIZE_MAX);
            out[size++] = (uint8_t)strtoul(hex, NULL, 16);
        }
        from += line + (from[line] == '\n');
    }
    return size;
}

static void the_decoder_reads_the_golden_bytes(void **state) {
    (void)state;
    for (unsigned i = 0; i < SAMPLE_TYPES; i++) {
        struct message canonical, decoded;
        uint8_t data[MESSAGE_SIZE_MAX];
        char path[256];
        path_of(folder, sample_types[i], path);
        assert_int_not_equal(read_file(path, text), 0);
        size_t size = bytes_of(text, data);
        sample_canonical(&canonical, sample_types[i]);
        assert_int_equal(message_decode(data, size, &decoded), size);
        assert_true(sample_equal(&canonical, &decoded));
        assert_int_equal(decoded.version, canonical.version);
    }
}

static void every_file_has_its_message(void **state) {
    (void)state;
    DIR *directory = opendir(folder);
    unsigned count = 0;
    assert_non_null(directory);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot != NULL && strcmp(dot, ".hex") == 0) count++;
    }
    closedir(directory);
    assert_int_equal(count, SAMPLE_TYPES); /* each type has one, so none is left over */
}

/* ---- writing -------------------------------------------------------------------------------- */

static int write_missing(const char *directory) {
    int result = 0;
    for (unsigned i = 0; i < SAMPLE_TYPES; i++) {
        char path[256];
        path_of(directory, sample_types[i], path);
        size_t size = vector_text(sample_types[i], wanted);
        size_t have = read_file(path, text);
        if (have == size && memcmp(text, wanted, size) == 0) continue;
        if (have != 0) {
            fprintf(stderr, "%s: the bytes would change; what is on the wire must not\n", path);
            result = 1;
            continue;
        }
        FILE *file = fopen(path, "w");
        if (file == NULL || fwrite(wanted, 1, size, file) != size || fclose(file) != 0) {
            fprintf(stderr, "%s: %s\n", path, strerror(errno));
            return 1;
        }
        printf("%s written\n", path);
    }
    return result;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--write") == 0) return write_missing(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_encoder_writes_the_golden_bytes),
        cmocka_unit_test(the_decoder_reads_the_golden_bytes),
        cmocka_unit_test(every_file_has_its_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
