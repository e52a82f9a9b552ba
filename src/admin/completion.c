/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for bash, and what the other shells share with it. */
#include "admin/completion.h"
#include "admin/lync.h"

#include "admin/args.h"
#include "base/reason.h"
#include "config/config.h"

static void options(struct buf *out, const struct admin_command *c)
{
	for (size_t i = 0; i < c->n_args; i++) {
		if (!(c->args[i].flags & ADMIN_POSITIONAL))
			buf_printf(out, "--%s ", admin_arg_option(&c->args[i]));
		for (const struct admin_alias *al = c->args[i].aliases; al && al->word; al++)
			buf_printf(out, "--%s ", al->word);
	}
}

void admin_completion_words(struct buf *out, const struct admin_arg *a)
{
	for (struct slice rest = a->type == ADMIN_ENUM ? slice_str(a->values) : SLICE_NONE; rest.p;) {
		buf_put(out, admin_values_next(&rest));
		buf_putc(out, ' ');
	}
	for (int i = 1; a->type == ADMIN_REASON && i < REASON_COUNT; i++)
		buf_printf(out, "%s ", reason_info((enum reason)i)->id);
}

/* Whether a command before the index-th begins with the same n + 1 words. */
static bool told(const char *const path[], size_t n, size_t index)
{
	const char *word = admin_command(index)->path[n];
	for (size_t i = 0; i < index; i++) {
		const char *const *other = admin_command(i)->path;
		size_t k = 0;
		while (k < n && other[k] && slice_eq(slice_str(other[k]), slice_str(path[k])))
			k++;
		if (k == n && other[n] && slice_eq(slice_str(other[n]), slice_str(word)))
			return true;
	}
	return false;
}

void admin_completion_next(const char *const path[], admin_completion_word *word, void *arg)
{
	size_t n = 0;
	while (path[n])
		n++;
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *c = admin_command(i);
		size_t k = 0;
		while (k < n && c->path[k] && slice_eq(slice_str(c->path[k]), slice_str(path[k])))
			k++;
		if (k < n || !c->path[n] || told(path, n, i))
			continue;
		const char *summary = c->path[n + 1] ? "" : c->summary;
		for (size_t g = 0; c->path[n + 1] && g < admin_group_count(); g++) {
			const char *const *path_g = admin_group(g)->path;
			for (k = 0; k <= n && path_g[k] && slice_eq(slice_str(path_g[k]), slice_str(c->path[k])); k++)
				;
			if (k > n && !path_g[k])
				summary = admin_group(g)->summary;
		}
		word(arg, c->path[n], summary);
	}
	for (size_t i = 0; !n && i < lync_cmdlet_count(); i++) {
		char name[80];
		lync_cmdlet_name(i, name, sizeof name);
		word(arg, name, "cmdlet of Lync");
	}
}

/* ---- bash */

/* What completes a value: a list of words, or the name of a function below. */
static void values(struct buf *out, const struct admin_arg *a)
{
	switch (a->type) {
	case ADMIN_ENUM:
	case ADMIN_REASON:
		buf_puts(out, "words '");
		admin_completion_words(out, a);
		buf_puts(out, "'");
		break;
	case ADMIN_PASSWORD:
	case ADMIN_FILE:
	case ADMIN_PATH: buf_puts(out, "files"); break;
	case ADMIN_PARTNER: buf_puts(out, "partners"); break;
	case ADMIN_KEY: buf_puts(out, "keys"); break;
	default: buf_puts(out, "none"); break;
	}
}

static void plain_word(void *arg, const char *word, const char *summary)
{
	(void)summary;
	buf_printf(arg, "%s ", word);
}

static void words_case(struct buf *out, const char *const path[])
{
	buf_puts(out, "    '");
	admin_path_print(out, path);
	buf_puts(out, "') words='");
	admin_completion_next(path, plain_word, out);
	buf_puts(out, "' ;;\n");
}

static const char functions[] =
	"_entente_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\"); }\n"
	"_entente_files() { compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); }\n"
	"_entente_partners() { _entente_words \"$(" ADMIN_LIST_PARTNERS ")\"; }\n"
	"_entente_keys() { _entente_words \"$(" ADMIN_LIST_KEYS ")\"; }\n"
	"_entente_none() { COMPREPLY=(); }\n";

static const char head[] =
	"_entente() {\n"
	"  local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} path='' words='' options='' i word\n";

/* The words that make a command, as far as they go; values and options do not count. */
static const char find_path[] =
	"  COMPREPLY=()\n"
	"  for ((i = 1; i < COMP_CWORD; i++)); do\n"
	"    word=${COMP_WORDS[i]}\n"
	"    case $word in\n"
	"    --socket|--if-generation) ((i++)) ;;\n"
	"    -*) ;;\n"
	"    *) case \" $commands \" in *\" ${path:+$path/}$word \"*) path=${path:+$path/}$word ;; *) break ;; esac ;;\n"
	"    esac\n"
	"  done\n"
	"  path=${path//\\// }\n";

/* Every command and beginning of one, with slashes between the words. */
static void commands_line(struct buf *out)
{
	buf_puts(out, "  local commands='");
	for (size_t i = 0; i < admin_group_count() + admin_command_count(); i++) {
		const char *const *path = i < admin_group_count() ? admin_group(i)->path : admin_command(i - admin_group_count())->path;
		for (size_t k = 0; path[k]; k++)
			buf_printf(out, "%s%s", k ? "/" : "", path[k]);
		buf_putc(out, ' ');
	}
	buf_puts(out, "'\n");
}

void admin_completion_bash(struct buf *out)
{
	static const char *const top[] = {NULL};
	buf_puts(out, "# bash completion for entente\n# Generated from the table of commands; do not edit.\n");
	buf_puts(out, functions);
	buf_puts(out, head);
	commands_line(out);
	buf_puts(out, find_path);
	buf_puts(out, "  case \"$path:$previous\" in\n  *:--socket) _entente_files; return ;;\n  *:--if-generation) return ;;\n");
	for (size_t i = 0; i < admin_command_count(); i++)
		for (size_t k = 0; k < admin_command(i)->n_args; k++) {
			const struct admin_arg *a = &admin_command(i)->args[k];
			if (a->flags & ADMIN_POSITIONAL || a->type == ADMIN_BOOL)
				continue;
			buf_puts(out, "  '");
			admin_path_print(out, admin_command(i)->path);
			buf_printf(out, ":--%s') _entente_", admin_arg_option(a));
			values(out, a);
			buf_puts(out, "; return ;;\n");
		}
	buf_puts(out, "  esac\n  if [[ $cur == -* ]]; then\n    case $path in\n");
	for (size_t i = 0; i < admin_command_count(); i++)
		if (admin_command(i)->n_args) {
			buf_puts(out, "    '");
			admin_path_print(out, admin_command(i)->path);
			buf_puts(out, "') options='");
			options(out, admin_command(i));
			buf_puts(out, "' ;;\n");
		}
	buf_puts(out, "    esac\n    _entente_words \"$options");
	for (size_t i = 0; i < admin_global_count(); i++)
		buf_printf(out, " --%s", admin_global(i)->name);
	buf_puts(out, "\"\n    return\n  fi\n  case $path in\n");
	words_case(out, top);
	for (size_t i = 0; i < admin_group_count(); i++)
		words_case(out, admin_group(i)->path);
	for (size_t i = 0; i < admin_command_count(); i++)
		for (size_t k = 0; k < admin_command(i)->n_args; k++)
			if (admin_command(i)->args[k].flags & ADMIN_POSITIONAL) {
				buf_puts(out, "    '");
				admin_path_print(out, admin_command(i)->path);
				buf_puts(out, "') _entente_");
				values(out, &admin_command(i)->args[k]);
				buf_puts(out, "; return ;;\n");
				break;
			}
	buf_puts(out, "  esac\n  [[ $words ]] && _entente_words \"$words\"\n}\ncomplete -F _entente entente\n");
}
