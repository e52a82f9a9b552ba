/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for fish. */
#include "admin/completion.h"

#include "admin/args.h"

/* True when the words of a command typed so far, as far as they go, are the argument; values and options do not count. */
static const char head[] =
	"function __entente_at\n"
	"    set -l path\n"
	"    set -l skip no\n"
	"    for word in (commandline -opc)[2..-1]\n"
	"        if test $skip = yes\n"
	"            set skip no\n"
	"            continue\n"
	"        end\n"
	"        switch $word\n"
	"            case --socket --if-generation\n"
	"                set skip yes\n"
	"            case '-*'\n"
	"            case '*'\n"
	"                if contains -- (string join ' ' -- $path $word) $__entente_known\n"
	"                    set -a path $word\n"
	"                else\n"
	"                    break\n"
	"                end\n"
	"        end\n"
	"    end\n"
	"    test \"$path\" = \"$argv[1]\"\n"
	"end\n"
	"complete -c entente -f\n";

static void quote(struct buf *out, const char *text)
{
	buf_putc(out, '\'');
	for (; *text; text++)
		buf_printf(out, "%s%c", *text == '\'' || *text == '\\' ? "\\" : "", *text);
	buf_putc(out, '\'');
}

static void at(struct buf *out, const char *const path[])
{
	buf_puts(out, "complete -c entente -n '__entente_at \"");
	admin_path_print(out, path);
	buf_puts(out, "\"'");
}

/* -a and what completes a value; nothing when that is not known. */
static void values(struct buf *out, const struct admin_arg *a)
{
	switch (a->type) {
	case ADMIN_ENUM:
	case ADMIN_REASON:
		buf_puts(out, " -a '");
		admin_completion_words(out, a);
		buf_putc(out, '\'');
		break;
	case ADMIN_PASSWORD:
	case ADMIN_FILE:
	case ADMIN_PATH: buf_puts(out, " -F"); break;
	case ADMIN_PARTNER: buf_puts(out, " -a '(" ADMIN_LIST_PARTNERS ")'"); break;
	case ADMIN_KEY: buf_puts(out, " -a \"(" ADMIN_LIST_KEYS ")\""); break;
	default: break;
	}
}

static void option(struct buf *out, const struct admin_arg *a, const char *name)
{
	bool file = a->type == ADMIN_PATH || a->type == ADMIN_PASSWORD || a->type == ADMIN_FILE;
	buf_printf(out, " -l %s%s", name, a->type == ADMIN_BOOL ? "" : file ? " -r" : " -x");
	values(out, a);
	buf_puts(out, " -d ");
	quote(out, a->help ? a->help : "");
	buf_putc(out, '\n');
}

struct place {
	struct buf *out;
	const char *const *path;
};

static void word(void *arg, const char *text, const char *summary)
{
	struct place *p = arg;
	at(p->out, p->path);
	buf_printf(p->out, " -a %s -d ", text);
	quote(p->out, summary);
	buf_putc(p->out, '\n');
}

static void words(struct buf *out, const char *const path[])
{
	admin_completion_next(path, word, &(struct place){out, path});
}

void admin_completion_fish(struct buf *out)
{
	static const char *const top[] = {NULL};
	buf_puts(out, "# fish completion for entente\n# Generated from the table of commands; do not edit.\nset -g __entente_known");
	for (size_t i = 0; i < admin_group_count() + admin_command_count(); i++) {
		buf_puts(out, " '");
		admin_path_print(out, i < admin_group_count() ? admin_group(i)->path : admin_command(i - admin_group_count())->path);
		buf_putc(out, '\'');
	}
	buf_putc(out, '\n');
	buf_puts(out, head);
	words(out, top);
	for (size_t i = 0; i < admin_group_count(); i++)
		words(out, admin_group(i)->path);
	for (size_t i = 0; i < admin_global_count(); i++) {
		buf_puts(out, "complete -c entente");
		option(out, admin_global(i), admin_global(i)->name);
	}
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *c = admin_command(i);
		bool first = true; /* the later ones would be offered too soon */
		for (size_t k = 0; k < c->n_args; k++) {
			const struct admin_arg *a = &c->args[k];
			if (!(a->flags & ADMIN_POSITIONAL)) {
				at(out, c->path);
				option(out, a, admin_arg_option(a));
			} else if (first) {
				at(out, c->path);
				values(out, a);
				buf_putc(out, '\n');
				first = false;
			}
			for (const struct admin_alias *al = a->aliases; al && al->word; al++) {
				at(out, c->path);
				buf_printf(out, " -l %s -d ", al->word);
				quote(out, al->help ? al->help : "");
				buf_putc(out, '\n');
			}
		}
	}
}
