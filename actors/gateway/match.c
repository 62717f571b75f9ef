#include "actors/gateway/match.h"

#include <stdio.h>
#include <string.h>

#define PARAM_MAX ((1ULL << 53) - 1)

/* Digits at the start of `text`: their count; 0 if there are none or the value is above `max`. */
static size_t digits(const char *text, uint64_t max, uint64_t *ret_value) {
    uint64_t value = 0;
    size_t count = 0;
    for (; text[count] >= '0' && text[count] <= '9'; count++) {
        uint64_t digit = (uint64_t)(text[count] - '0');
        if (digit > max || value > (max - digit) / 10) return 0;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return count;
}

bool match_number(const char *text, uint64_t max, uint64_t *ret_value) {
    uint64_t value;
    if (text == NULL) return false;
    size_t count = digits(text, max, &value);
    if (count == 0 || text[count] != 0) return false;
    *ret_value = value;
    return true;
}

bool match_path(const char *pattern, const char *path, uint64_t params[MATCH_PARAMS_MAX]) {
    unsigned param = 0;
    while (*pattern != 0) {
        if (*pattern != '{') {
            if (*pattern++ != *path++) return false;
            continue;
        }
        if (param == MATCH_PARAMS_MAX) return false;
        size_t count = digits(path, PARAM_MAX, &params[param]);
        if (count == 0 || params[param] == 0) return false;
        param++;
        path += count;
        pattern += 2;
    }
    return *path == 0;
}

void match_allow_add(struct match_allow *allow, const char *method) {
    size_t size = strlen(allow->text);
    snprintf(allow->text + size, sizeof allow->text - size, "%s%s", size == 0 ? "" : ", ", method);
}

bool match_etag(const char *list, const char *etag) {
    size_t size = strlen(etag);
    if (list == NULL) return false;
    while (*list != 0) {
        while (*list == ' ' || *list == '\t' || *list == ',') list++;
        if (*list == '*') return true;
        if (strncmp(list, "W/", 2) == 0) list += 2;
        if (strncmp(list, etag, size) == 0 && strchr(", \t", list[size]) != NULL) return true;
        list += strcspn(list, ",");
    }
    return false;
}

bool match_list(const char *list, const char *item) {
    size_t size = strlen(item);
    while (*list != 0) {
        while (*list == ' ' || *list == ',') list++;
        size_t length = strcspn(list, ", ");
        if (length == size && size > 0 && memcmp(list, item, size) == 0) return true;
        list += length;
    }
    return false;
}
