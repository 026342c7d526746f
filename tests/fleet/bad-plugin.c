/* A plugin that is good or bad in one way, as -DACT says: what a publisher may sign by mistake. Statically linked, so that
 * it runs where nothing can be read. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOOD 0
#define CRASH 1
#define HANG 2
#define GARBAGE 3

static void say(const char *text) { if (write(1, text, strlen(text)) < 0) exit(0); }

int main(void) {
    static char line[65536];
    if (ACT == CRASH) abort();
    while (ACT == GARBAGE) say("{\"event\": garbage}\n");
    say("{\"ready\":{}}\n");
    if (ACT == HANG) for (;;) pause();
    while (fgets(line, sizeof line, stdin)) {
        const char *ping = strstr(line, "\"ping\":");
        long number;
        char answer[64];
        if (!ping) continue;
        number = strtol(ping + 7, NULL, 10);
        snprintf(answer, sizeof answer, "{\"pong\":%ld}\n", number);
        say(answer);
    }
    return 0;
}
