/* SPDX-License-Identifier: Apache-2.0 */
/* entente: the administrator's program. */
#include <sys/ioctl.h>
#include <unistd.h>
#include "admin/command.h"
#include "cli/client.h"
#include "cli/screen.h"
#include "cli/password.h"

static const char default_socket[] = "/run/entente/control.sock";

/* What the other end of standard output is. */
static bool color_wanted(void)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");
	return isatty(STDOUT_FILENO) && !(no && *no) && term && !slice_eq(slice_str(term), S("dumb"));
}

static unsigned width_of_terminal(void)
{
	struct winsize w;
	return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

static void put(FILE *f, struct slice s)
{
	fwrite(s.p ? s.p : "", 1, s.len, f);
}

static void print_json(json_t *v)
{
	json_dumpf(v, stdout, JSON_INDENT(2));
	putchar('\n');
}

/* Data or text to standard output; warnings and errors to standard error. With --json an error is on standard output too. */
static int print(json_t *response, bool json, bool lines)
{
	json_t *data = json_object_get(response, "data"), *error = json_object_get(response, "error"), *one;
	json_t *text = json_object_get(response, "text"), *exit = json_object_get(response, "exit");
	const char *why = json_string_value(json_object_get(error, "text")), *hint = json_string_value(json_object_get(error, "hint"));
	size_t i;
	if (json && (data || error)) {
		json_t *whole = error ? json_pack("{s:O}", "error", error) : json_incref(data);
		if (lines) {
			json_dumpf(whole, stdout, JSON_COMPACT);
			putchar('\n');
		} else {
			print_json(whole);
		}
		json_decref(whole);
	} else if (json_is_string(text))
		put(stdout, slice_of(json_string_value(text), json_string_length(text)));
	fflush(stdout);
	json_array_foreach(json_object_get(response, "warnings"), i, one)
		fprintf(stderr, "warning: %s\n", json_string_value(one) ? json_string_value(one) : "");
	if (why)
		fprintf(stderr, "entente: %s\n", why);
	if (hint)
		fprintf(stderr, "%s\n", hint);
	return json_is_integer(exit) ? (int)json_integer_value(exit) : 69;
}

/* Something that the program itself has found. */
static int complain(const char *code, struct slice text, bool json, int exit)
{
	if (json) {
		json_t *e = json_pack("{s:{s:s s:s%}}", "error", "code", code, "text", text.p ? text.p : "", text.len);
		if (e)
			print_json(e);
		json_decref(e);
	}
	fflush(stdout);
	fputs("entente: ", stderr);
	put(stderr, text);
	fputc('\n', stderr);
	return exit;
}

/* What a command that takes time tells before its end: text as it comes; with --json the events of a list, one a line. */
static void on_line(void *arg, json_t *line)
{
	const struct admin_line *l = arg;
	json_t *text = json_object_get(line, "line"), *event = json_object_get(line, "event");
	if (json_is_string(text) && screen_is_open()) {
		screen_draw(slice_of(json_string_value(text), json_string_length(text)));
	} else if (json_is_string(text)) {
		put(stdout, slice_of(json_string_value(text), json_string_length(text)));
	} else if (event && l->command->lines) {
		json_dumpf(event, stdout, JSON_COMPACT);
		putchar('\n');
	}
	fflush(stdout);
}

/* How long nothing may come. A trace may be silent for as long as it runs. */
static uint64_t patience_ms(const struct admin_line *l)
{
	enum { WAIT_MS = 60000 };
	json_t *timeout = json_object_get(l->args, "timeout");
	return l->command->lines ? 0 : WAIT_MS + 1000 * (uint64_t)json_integer_value(timeout);
}

/* A local command asks the daemon. */
static json_t *ask_daemon(void *arg, json_t *request, struct buf *why)
{
	enum { WAIT_MS = 60000 };
	int exit = 0;
	return client_ask(arg, request, WAIT_MS, NULL, NULL, why, &exit);
}

static json_t *ask_at(const char *path, json_t *request, struct buf *why, int *ret_exit)
{
	enum { WAIT_MS = 60000 };
	return client_ask(path, request, WAIT_MS, NULL, NULL, why, ret_exit);
}

/* One line that is written over, where somebody looks. */
static void progress(const char *text)
{
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r\033[K%s", text ? text : "");
	fflush(stderr);
}

static int run(const struct admin_line *l)
{
	bool color = !l->json && color_wanted();
	unsigned width = width_of_terminal();
	const char *env = getenv("ENTENTE_SOCKET"), *path = l->socket ? l->socket : env && *env ? env : default_socket;
	struct buf why;
	int exit = 0;
	json_t *response, *request = NULL, *words;
	buf_init(&why, 65536);
	bool staged_check = l->staged && l->command->id == ADMIN_CMD_CONFIG_CHECK; /* of the draft: what a commit would say */
	if (l->command->local && !staged_check) {
		struct admin_program program = {l->json, color, width, ask_daemon, (void *)(uintptr_t)path, l->socket ? l->socket : env && *env ? env : NULL,
						ask_at, l->json ? NULL : progress};
		response = admin_local_run(l->command, l->args, &program);
	} else {
		const struct admin_command *command = staged_check ? admin_command_by_id(ADMIN_CMD_CONFIG_COMMIT) : l->command;
		words = json_array();
		for (size_t i = 0; command->path[i]; i++)
			json_array_append_new(words, json_string(command->path[i]));
		if (staged_check) {
			json_object_clear(l->args);
			json_object_set_new(l->args, "what-if", json_true());
		}
		request = json_pack("{s:o s:O s:b s:b s:i}", "command", words, "args", l->args, "json", l->json, "color", color, "width",
				    (int)width);
		if (l->if_generation >= 0)
			json_object_set_new(request, "if_generation", json_integer((json_int_t)l->if_generation));
		if (l->staged)
			json_object_set_new(request, "staged", json_true());
		if (l->command->id == ADMIN_CMD_TOP && !l->json && !json_is_true(json_object_get(l->args, "once")))
			screen_open();
		response = client_ask(path, request, patience_ms(l), on_line, (void *)(uintptr_t)l, &why, &exit);
		screen_close();
	}
	if (response)
		exit = print(response, l->json, l->command->lines);
	else if (exit) /* else somebody pressed q */
		exit = complain(exit == 77 ? "permission" : exit == 2 ? "usage" : exit == 3 ? "unreachable" : "unavailable", buf_slice(&why),
				l->json, exit);
	json_decref(request);
	json_decref(response);
	buf_free(&why);
	return exit;
}

/* The end of a usage error: where help is. */
static void point_to_help(struct buf *why, const struct admin_line *l)
{
	buf_puts(why, "\n`entente ");
	for (size_t i = 0; l->words[i]; i++)
		buf_printf(why, "%s ", l->words[i]);
	buf_puts(why, "--help` tells what is possible.");
}

int main(int argc, char *argv[])
{
	struct admin_line l;
	struct buf out;
	bool json = false;
	int exit = ADMIN_EXIT_OK;
	buf_init(&out, 1 << 20);
	for (int i = 1; i < argc; i++)
		json = json || slice_eq(slice_str(argv[i]), S("--json"));
	switch (admin_line_parse(&l, argc > 0 ? argc - 1 : 0, (const char *const *)argv + (argc > 0), &out)) {
	case ADMIN_RUN:
		exit = password_take(&l, &out);
		exit = exit ? complain(exit == ADMIN_EXIT_USAGE ? "usage" : "unavailable", buf_slice(&out), json, exit) : run(&l);
		break;
	case ADMIN_HELP:
		admin_help(&out, l.words, color_wanted());
		put(stdout, buf_slice(&out));
		break;
	case ADMIN_VERSION:
		printf("entente %s\n", ENTENTE_VERSION);
		break;
	case ADMIN_INCOMPLETE: /* say what can be asked */
		exit = complain("usage", buf_slice(&out), json, ADMIN_EXIT_USAGE);
		buf_clear(&out);
		buf_putc(&out, '\n');
		admin_help(&out, l.words, false);
		put(stderr, buf_slice(&out));
		break;
	case ADMIN_BAD:
		point_to_help(&out, &l);
		exit = complain("usage", buf_slice(&out), json, ADMIN_EXIT_USAGE);
		break;
	}
	admin_line_free(&l);
	buf_free(&out);
	if (fflush(stdout) != 0 && exit == ADMIN_EXIT_OK) {
		perror("entente");
		exit = ADMIN_EXIT_CANNOT_CREATE;
	}
	return exit;
}
