/* ticketctl completion: what a shell needs to complete our commands. The script asks the helps, so
 * that it knows whatever they tell. */
#include "tools/ticketctl/commands.h"
#include "tools/ticketctl/options.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "ticketctl completion: completion of commands and options, for bash\n"
    "\n"
    "  ticketctl completion [bash]\n"
    "\n"
    "examples\n"
    "  source <(ticketctl completion)\n"
    "  ticketctl completion >~/.local/share/bash-completion/completions/ticketctl\n"
    "\n"
    "Exit status: 0 done, 2 wrong arguments.\n";

static const char script[] =
    "# bash completion for ticketctl\n"
    "_ticketctl() {\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words\n"
    "    case $before in\n"
    "        --dir) mapfile -t COMPREPLY < <(compgen -d -- \"$word\"); return ;;\n"
    "        --json | --csv | --mysqld) mapfile -t COMPREPLY < <(compgen -f -- \"$word\"); return "
    ";;\n"
    "        -o) words=json ;;\n"
    "        *)\n"
    "            if ((COMP_CWORD == 1)); then\n"
    "                words=$(\"$1\" --help | sed -n '/^commands$/,/^$/s/^  \\([a-z]*\\) "
    ".*/\\1/p')\n"
    "            else\n"
    "                words=$(\"$1\" \"${COMP_WORDS[1]}\" --help 2>/dev/null | grep -o -e "
    "'--[a-z][a-z-]*' | sort -u)\n"
    "            fi ;;\n"
    "    esac\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
    "}\n"
    "complete -F _ticketctl ticketctl\n";

int completion_command(int argc, char **argv) {
    if (argc > 2) return option_wrong("completion", "unknown argument", argv[2]);
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return CTL_OK;
    }
    if (argc == 2 && strcmp(argv[1], "bash") != 0) {
        return option_wrong("completion", "only bash is known", argv[1]);
    }
    fputs(script, stdout);
    return CTL_OK;
}
