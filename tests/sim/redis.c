#include "tests/sim/redis.h"

#include <lauxlib.h>
#include <lualib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OLDER = 4 };

static const struct {
    const char *name, *text;
} scripts[] = {
#include "embedded_scripts.inc"
};

static struct world *world; /* of the script that runs */

/* ---- keys ----------------------------------------------------------------------------------- */

static struct redis_key *find(struct world *w, const char *name) {
    struct redis_state *state = &w->redis->state;
    for (uint32_t i = 0; i < state->count; i++) {
        struct redis_key *key = &state->keys[i];
        if (key->kind == REDIS_GONE || strcmp(key->name, name) != 0) continue;
        if (key->expires_us == 0 || key->expires_us > w->now_us) return key;
        key->kind = REDIS_GONE;
        return NULL;
    }
    return NULL;
}

/* A key that is there is of this kind. */
static struct redis_key *make(struct world *w, const char *name, enum redis_kind kind) {
    struct redis_state *state = &w->redis->state;
    struct redis_key *key = find(w, name);
    if (key != NULL) {
        require(key->kind == kind);
        return key;
    }
    for (uint32_t i = 0; i < state->count && key == NULL; i++) {
        if (state->keys[i].kind == REDIS_GONE) key = &state->keys[i];
    }
    if (key == NULL) {
        state->keys = world_grow(w, state->keys, state->count, &state->capacity, sizeof *key);
        key = &state->keys[state->count++];
    }
    require(strlen(name) < sizeof key->name);
    *key = (struct redis_key){
        .kind = kind, .items = key->items, .capacity = key->items == NULL ? 0 : key->capacity};
    snprintf(key->name, sizeof key->name, "%s", name);
    return key;
}

static bool forget(struct world *w, const char *name) {
    struct redis_key *key = find(w, name);
    if (key == NULL) return false;
    key->kind = REDIS_GONE;
    return true;
}

static void put_text(char *out, size_t size, const char *text) {
    require(strlen(text) < size);
    memcpy(out, text, strlen(text) + 1);
}

void redis_put(struct world *w, const char *name, const char *value) {
    forget(w, name);
    struct redis_key *key = make(w, name, REDIS_STRING);
    put_text(key->value, sizeof key->value, value);
}

static struct redis_item *member_of(struct redis_key *key, const char *member) {
    for (uint32_t i = 0; i < key->count; i++) {
        if (strcmp(key->items[i].member, member) == 0) return &key->items[i];
    }
    return NULL;
}

static struct redis_item *add_member(struct world *w, struct redis_key *key, const char *member) {
    struct redis_item *item = member_of(key, member);
    if (item != NULL) return item;
    key->items = world_grow(w, key->items, key->count, &key->capacity, sizeof *item);
    item = &key->items[key->count++];
    *item = (struct redis_item){0};
    snprintf(item->member, sizeof item->member, "%s", member);
    return item;
}

static bool remove_member(struct redis_key *key, const char *member) {
    struct redis_item *item = key == NULL ? NULL : member_of(key, member);
    if (item == NULL) return false;
    uint32_t at = (uint32_t)(item - key->items);
    memmove(item, item + 1, (key->count - at - 1) * sizeof *item);
    key->count -= 1;
    if (key->count == 0) key->kind = REDIS_GONE;
    return true;
}

static void zadd(struct world *w, const char *name, double score, const char *member) {
    struct redis_key *key = make(w, name, REDIS_ZSET);
    if (member_of(key, member) != NULL) {
        remove_member(key, member);
        key->kind = REDIS_ZSET;
    }
    add_member(w, key, member)->score = score;
    for (uint32_t i = key->count - 1; i > 0; i--) {
        struct redis_item *a = &key->items[i - 1], *b = &key->items[i];
        if (a->score < b->score || (a->score == b->score && strcmp(a->member, b->member) < 0))
            break;
        struct redis_item swap = *a;
        *a = *b;
        *b = swap;
    }
}

/* ---- commands, as scripts call them --------------------------------------------------------- */

/* The key of a command: NULL if it is not there; one of another kind ends the script. */
static struct redis_key *key_of(lua_State *lua, enum redis_kind kind) {
    struct redis_key *key = find(world, luaL_checkstring(lua, 2));
    if (key != NULL && key->kind != kind) luaL_error(lua, "WRONGTYPE of %s", key->name);
    return key;
}

static struct redis_key *key_for(lua_State *lua, enum redis_kind kind) {
    (void)key_of(lua, kind);
    return make(world, luaL_checkstring(lua, 2), kind);
}

static int call_get(lua_State *lua) {
    const struct redis_key *key = key_of(lua, REDIS_STRING);
    if (key == NULL) {
        lua_pushboolean(lua, 0);
    } else {
        lua_pushstring(lua, key->value);
    }
    return 1;
}

/* A whole number of milliseconds, as Redis reads it. */
static uint64_t check_ttl_us(lua_State *lua, int argument) {
    const char *text = luaL_checkstring(lua, argument);
    char *end;
    long long ttl_ms = strtoll(text, &end, 10);
    bool is_number = end != text && *end == 0 && *text != ' ' && *text != '+';
    if (!is_number) luaL_error(lua, "value is not an integer or out of range");
    if (ttl_ms < 1 || ttl_ms > INT64_MAX / 1000 / 2) luaL_error(lua, "invalid expire time");
    return (uint64_t)ttl_ms * 1000;
}

static int call_set(lua_State *lua) {
    const char *name = luaL_checkstring(lua, 2), *value = luaL_checkstring(lua, 3);
    uint64_t ttl_us = 0;
    if (lua_gettop(lua) > 3) {
        if (strcmp(luaL_checkstring(lua, 4), "PX") != 0) return luaL_error(lua, "SET: not PX");
        ttl_us = check_ttl_us(lua, 5);
    }
    redis_put(world, name, value);
    if (ttl_us > 0) find(world, name)->expires_us = world->now_us + ttl_us;
    lua_pushstring(lua, "OK");
    return 1;
}

/* Milliseconds that are left: 0 in the last one; -1: it never ends; -2: it is not there. */
static int call_pttl(lua_State *lua) {
    const struct redis_key *key = find(world, luaL_checkstring(lua, 2));
    lua_Integer left = key == NULL ? -2 : -1;
    if (key != NULL && key->expires_us != 0)
        left = (lua_Integer)(key->expires_us - world->now_us) / 1000;
    lua_pushinteger(lua, left);
    return 1;
}

static int call_del(lua_State *lua) {
    int gone = 0;
    for (int i = 2; i <= lua_gettop(lua); i++) gone += forget(world, luaL_checkstring(lua, i));
    lua_pushinteger(lua, gone);
    return 1;
}

static int call_hset(lua_State *lua) {
    struct redis_key *key = key_for(lua, REDIS_HASH);
    for (int i = 3; i + 1 <= lua_gettop(lua); i += 2) {
        struct redis_item *item = add_member(world, key, luaL_checkstring(lua, i));
        put_text(item->value, sizeof item->value, luaL_checkstring(lua, i + 1));
    }
    lua_pushinteger(lua, 1);
    return 1;
}

static int call_hmget(lua_State *lua) {
    struct redis_key *key = key_of(lua, REDIS_HASH);
    lua_newtable(lua);
    for (int i = 3; i <= lua_gettop(lua) - 1; i++) {
        const struct redis_item *item =
            key == NULL ? NULL : member_of(key, luaL_checkstring(lua, i));
        if (item == NULL) {
            lua_pushboolean(lua, 0);
        } else {
            lua_pushstring(lua, item->value);
        }
        lua_rawseti(lua, -2, i - 2);
    }
    return 1;
}

static int call_zadd(lua_State *lua) {
    (void)key_of(lua, REDIS_ZSET);
    zadd(world, luaL_checkstring(lua, 2), luaL_checknumber(lua, 3), luaL_checkstring(lua, 4));
    lua_pushinteger(lua, 1);
    return 1;
}

static int call_zrem(lua_State *lua) {
    struct redis_key *key = key_of(lua, REDIS_ZSET);
    lua_pushinteger(lua, remove_member(key, luaL_checkstring(lua, 3)));
    return 1;
}

static int call_sadd(lua_State *lua) {
    (void)add_member(world, key_for(lua, REDIS_SET), luaL_checkstring(lua, 3));
    lua_pushinteger(lua, 1);
    return 1;
}

static int push_members(lua_State *lua, const struct redis_key *key) {
    lua_newtable(lua);
    for (uint32_t i = 0; key != NULL && i < key->count; i++) {
        lua_pushstring(lua, key->items[i].member);
        lua_rawseti(lua, -2, (int)i + 1);
    }
    return 1;
}

static int call_smembers(lua_State *lua) {
    return push_members(lua, key_of(lua, REDIS_SET));
}

/* Of all. */
static int call_zrange(lua_State *lua) {
    return push_members(lua, key_of(lua, REDIS_ZSET));
}

static int call(lua_State *lua) {
    static const struct {
        const char *name;
        lua_CFunction run;
    } commands[] = {
        {"GET", call_get},       {"SET", call_set},           {"DEL", call_del},
        {"UNLINK", call_del},    {"HSET", call_hset},         {"HMGET", call_hmget},
        {"ZADD", call_zadd},     {"ZREM", call_zrem},         {"SADD", call_sadd},
        {"ZRANGE", call_zrange}, {"SMEMBERS", call_smembers}, {"PTTL", call_pttl},
    };
    const char *name = luaL_checkstring(lua, 1);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, name) == 0) return commands[i].run(lua);
    }
    return luaL_error(lua, "this Redis has no %s", name);
}

/* As call(); an error is the result, and ends nothing. */
static int protected_call(lua_State *lua) {
    int arguments = lua_gettop(lua);
    lua_pushcfunction(lua, call);
    lua_insert(lua, 1);
    (void)lua_pcall(lua, arguments, 1, 0);
    return 1;
}

/* ---- scripts -------------------------------------------------------------------------------- */

static lua_State *interpreter(void) {
    static lua_State *lua;
    if (lua != NULL) return lua;
    lua = luaL_newstate();
    require(lua != NULL);
    luaL_openlibs(lua);
    lua_newtable(lua);
    lua_pushcfunction(lua, call);
    lua_setfield(lua, -2, "call");
    lua_pushcfunction(lua, protected_call);
    lua_setfield(lua, -2, "pcall");
    lua_setglobal(lua, "redis");
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        require(luaL_loadbuffer(lua, scripts[i].text, strlen(scripts[i].text), scripts[i].name) ==
                0);
        lua_setfield(lua, LUA_REGISTRYINDEX, scripts[i].name);
    }
    return lua;
}

static void set_list(lua_State *lua, const char *global, unsigned count, const char *const *items) {
    lua_createtable(lua, (int)count, 0);
    for (unsigned i = 0; i < count; i++) {
        lua_pushstring(lua, items[i]);
        lua_rawseti(lua, -2, (int)i + 1);
    }
    lua_setglobal(lua, global);
}

void redis_script(struct world *w, const char *script, unsigned argc, const char *const *argv,
                  struct redis_result *ret_result) {
    lua_State *lua = interpreter();
    world = w;
    set_list(lua, "KEYS", 1, argv);
    set_list(lua, "ARGV", argc - 1, argv + 1);
    lua_getfield(lua, LUA_REGISTRYINDEX, script);
    *ret_result = (struct redis_result){0};
    if (lua_pcall(lua, 0, 1, 0) != 0) {
        ret_result->kind = ANSWER_ERROR;
        snprintf(ret_result->text, sizeof ret_result->text, "%s: %s", script,
                 lua_tostring(lua, -1));
    } else if (lua_type(lua, -1) == LUA_TNUMBER) {
        ret_result->kind = ANSWER_NUMBER;
        ret_result->number = lua_tointeger(lua, -1);
    } else {
        ret_result->kind = ANSWER_TEXT;
        snprintf(ret_result->text, sizeof ret_result->text, "%s", lua_tostring(lua, -1));
    }
    lua_settop(lua, 0);
}

/* ---- what happens to it --------------------------------------------------------------------- */

void redis_new(struct world *w) {
    w->redis = world_alloc(w, sizeof *w->redis);
}

const struct redis_key *redis_get(struct world *w, const char *name) {
    return find(w, name);
}

const struct redis_item *redis_member(const struct redis_key *key, const char *member) {
    for (uint32_t i = 0; i < key->count; i++) {
        if (strcmp(key->items[i].member, member) == 0) return &key->items[i];
    }
    return NULL;
}

void redis_wipe(struct world *w) {
    struct redis_state *state = &w->redis->state;
    for (uint32_t i = 0; i < state->count; i++) state->keys[i].kind = REDIS_GONE;
}

static struct redis_state copy(struct world *w, const struct redis_state *state) {
    struct redis_state copied = {.count = state->count, .capacity = state->count};
    copied.keys = world_alloc(w, state->count * sizeof *copied.keys);
    for (uint32_t i = 0; i < state->count; i++) {
        struct redis_key *key = &copied.keys[i];
        *key = state->keys[i];
        if (key->kind == REDIS_GONE) key->count = 0;
        key->capacity = key->count;
        key->items = key->count == 0 ? NULL : world_alloc(w, key->count * sizeof *key->items);
        if (key->count > 0)
            memcpy(key->items, state->keys[i].items, key->count * sizeof *key->items);
    }
    return copied;
}

void redis_save(struct world *w) {
    w->redis->saved += 1;
    w->redis->older[w->redis->saved % OLDER] = copy(w, &w->redis->state);
}

bool redis_go_back(struct world *w) {
    struct redis *redis = w->redis;
    if (redis->saved < OLDER) return false;
    uint64_t back = chance_below(&w->chance, OLDER);
    redis->state = copy(w, &redis->older[(redis->saved - back) % OLDER]);
    return true;
}

uint64_t redis_count(struct world *w, const char *name) {
    struct redis_key *key = make(w, name, REDIS_STRING);
    uint64_t count = strtoull(key->value, NULL, 10) + 1;
    snprintf(key->value, sizeof key->value, "%" PRIu64, count);
    return count;
}
