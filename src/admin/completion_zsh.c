/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for zsh. */
#include "admin/completion.h"

#include "admin/args.h"

/* The words that make a command, as far as they go; values and options do not count. ("path" has a meaning of its own in zsh.) */
static const char find_command[] =
	"local at='' word skip=0 previous=${words[CURRENT-1]}\n"
	"local -a w\n"
	"for word in ${words[2,CURRENT-1]}; do\n"
	"  if (( skip )); then skip=0; continue; fi\n"
	"  case $word in\n"
	"  --socket|--if-generation) skip=1 ;;\n"
	"  -*) ;;\n"
	"  *) if (( ${known[(Ie)${at:+$at }$word]} )); then at=\"${at:+$at }$word\"; else break; fi ;;\n"
	"  esac\n"
	"done\n";

/* Between single quotes, in which a colon ends a word. */
static void quoted(struct buf *out, const char *text)
{
	for (; *text; text++)
		if (*text == '\'')
			buf_puts(out, "'\\''");
		else
			buf_printf(out, "%s%c", *text == ':' || *text == '\\' ? "\\" : "", *text);
}

static void described(struct buf *out, const char *before, const char *text, const char *help)
{
	buf_printf(out, " '%s", before);
	quoted(out, text);
	buf_putc(out, ':');
	quoted(out, help ? help : "");
	buf_putc(out, '\'');
}

/* The command that completes a value. */
static void values(struct buf *out, const struct admin_arg *a)
{
	switch (a->type) {
	case ADMIN_ENUM:
	case ADMIN_REASON:
		buf_puts(out, "compadd -- ");
		admin_completion_words(out, a);
		break;
	case ADMIN_PASSWORD:
	case ADMIN_FILE:
	case ADMIN_PATH: buf_puts(out, "_files"); break;
	case ADMIN_PARTNER: buf_puts(out, "compadd -- ${(f)\"$(" ADMIN_LIST_PARTNERS ")\"}"); break;
	case ADMIN_KEY: buf_puts(out, "compadd -- ${(f)\"$(" ADMIN_LIST_KEYS ")\"}"); break;
	default: buf_puts(out, "_message value"); break;
	}
}

static void in_case(struct buf *out, const char *const path[])
{
	buf_puts(out, "  '");
	admin_path_print(out, path);
	buf_puts(out, "') ");
}

static void word(void *arg, const char *text, const char *summary)
{
	described(arg, "", text, summary);
}

static void words_case(struct buf *out, const char *const path[])
{
	in_case(out, path);
	buf_puts(out, "w=(");
	admin_completion_next(path, word, out);
	buf_puts(out, ") ;;\n");
}

static void values_of_options(struct buf *out)
{
	buf_puts(out, "case \"$at:$previous\" in\n  *:--socket) _files; return ;;\n  *:--if-generation) return ;;\n");
	for (size_t i = 0; i < admin_command_count(); i++)
		for (size_t k = 0; k < admin_command(i)->n_args; k++) {
			const struct admin_arg *a = &admin_command(i)->args[k];
			if (a->flags & ADMIN_POSITIONAL || a->type == ADMIN_BOOL)
				continue;
			buf_puts(out, "  '");
			admin_path_print(out, admin_command(i)->path);
			buf_printf(out, ":--%s') ", admin_arg_option(a));
			values(out, a);
			buf_puts(out, "; return ;;\n");
		}
	buf_puts(out, "esac\n");
}

static void options(struct buf *out)
{
	buf_puts(out, "if [[ $PREFIX == -* ]]; then\n  case $at in\n");
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *c = admin_command(i);
		in_case(out, c->path);
		buf_puts(out, "w=(");
		for (size_t k = 0; k < c->n_args; k++) {
			if (!(c->args[k].flags & ADMIN_POSITIONAL))
				described(out, "--", admin_arg_option(&c->args[k]), c->args[k].help);
			for (const struct admin_alias *al = c->args[k].aliases; al && al->word; al++)
				described(out, "--", al->word, al->help);
		}
		buf_puts(out, ") ;;\n");
	}
	buf_puts(out, "  esac\n  w+=(");
	for (size_t i = 0; i < admin_global_count(); i++)
		described(out, "--", admin_global(i)->name, admin_global(i)->help);
	buf_puts(out, ")\n  _describe -o option w\n  return\nfi\n");
}

void admin_completion_zsh(struct buf *out)
{
	static const char *const top[] = {NULL};
	buf_puts(out, "#compdef entente\n# Generated from the table of commands; do not edit.\nlocal -a known=(");
	for (size_t i = 0; i < admin_group_count() + admin_command_count(); i++) {
		buf_puts(out, " '");
		admin_path_print(out, i < admin_group_count() ? admin_group(i)->path : admin_command(i - admin_group_count())->path);
		buf_putc(out, '\'');
	}
	buf_puts(out, ")\n");
	buf_puts(out, find_command);
	values_of_options(out);
	options(out);
	buf_puts(out, "case $at in\n");
	words_case(out, top);
	for (size_t i = 0; i < admin_group_count(); i++)
		words_case(out, admin_group(i)->path);
	for (size_t i = 0; i < admin_command_count(); i++)
		for (size_t k = 0; k < admin_command(i)->n_args; k++)
			if (admin_command(i)->args[k].flags & ADMIN_POSITIONAL) {
				in_case(out, admin_command(i)->path);
				values(out, &admin_command(i)->args[k]);
				buf_puts(out, "; return ;;\n");
				break;
			}
	buf_puts(out, "esac\n(( $#w )) && _describe command w\n");
}
