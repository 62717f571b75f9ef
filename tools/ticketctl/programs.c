#include "tools/ticketctl/programs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void program_beside(const char *name, char out[PROGRAM_SIZE]) {
    char self[PROGRAM_SIZE];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    self[size < 0 ? 0 : size] = '\0';
    char *slash = strrchr(self, '/');
    if (slash != NULL) *slash = '\0';
    struct stat status;
    char script[PROGRAM_SIZE];
    if (snprintf(out, PROGRAM_SIZE, "%s/%s", self, name) >= PROGRAM_SIZE) out[0] = '\0';
    if (access(out, F_OK) == 0) return;
    if (snprintf(script, sizeof script, "%s/../tools/%s", self, name) >= PROGRAM_SIZE) return;
    if (stat(script, &status) == 0 && S_ISREG(status.st_mode)) memcpy(out, script, sizeof script);
}

bool program_find(const char *name, char out[PROGRAM_SIZE]) {
    if (strchr(name, '/') != NULL) {
        snprintf(out, PROGRAM_SIZE, "%s", name);
        if (access(out, X_OK) == 0) return true;
        out[0] = '\0';
        return false;
    }
    char path[4096];
    const char *own = getenv("PATH");
    snprintf(path, sizeof path, "%s:/usr/local/sbin:/usr/sbin:/usr/local/libexec:/usr/libexec",
             own == NULL ? "/usr/bin" : own);
    char *rest = path;
    for (char *folder; (folder = strsep(&rest, ":")) != NULL;) {
        if (folder[0] == '\0') continue;
        int size = snprintf(out, PROGRAM_SIZE, "%s/%s", folder, name);
        if (size < PROGRAM_SIZE && access(out, X_OK) == 0) return true;
    }
    out[0] = '\0';
    return false;
}

bool program_mysqld(const char *named, char out[PROGRAM_SIZE]) {
    if (named != NULL) return program_find(named, out);
    return program_find("mariadbd", out) || program_find("mysqld", out);
}

bool program_says(const char *program, const char *argument, char *out, size_t size) {
    int ends[2];
    if (pipe(ends) != 0) return false;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(program, program, argument, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    FILE *said = pid < 0 ? NULL : fdopen(ends[0], "r");
    out[0] = '\0';
    if (said != NULL) {
        while (fgets(out, (int)size, said) != NULL) out[strcspn(out, "\r\n")] = '\0';
        fclose(said);
    } else {
        close(ends[0]);
    }
    int status = -1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}
