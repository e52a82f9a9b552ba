/* SPDX-License-Identifier: Apache-2.0 */
/* A person at pidgin-sipe, without a display: libpurple with the plug-in of Debian, commands on standard input, one line on standard output
 * for each thing that happens. Built and driven by sipe.py.
 *
 *   sipe FOLDER ADDRESS,LOGIN SERVER:PORT TRANSPORT
 *
 * Commands: say ADDRESS TEXT | type ADDRESS | idle ADDRESS | close ADDRESS | watch ADDRESS | status ID [NOTE] | quit
 * Lines, fields behind tabs, texts without tabs and line ends: ready, error TEXT, message ADDRESS HTML, typing ADDRESS STATE, presence ADDRESS STATUS,
 * system ADDRESS TEXT, trouble TEXT */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <glib.h>
#include <libpurple/purple.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static GMainLoop *loop;
static PurpleAccount *account;
static int handle;

static void say(const char *kind, const char *who, const char *text)
{
	char *clean = g_strdelimit(g_strdup(text ? text : ""), "\t\r\n", ' ');

	printf("%s\t%s\t%s\n", kind, who ? who : "", clean);
	fflush(stdout);
	g_free(clean);
}

/* The plug-in reads XML with handlers of SAX 1 that bear the mark of SAX 2. The libxml2 of Debian 12 (2.9.14, deb12u6) calls none of those, so
 * that no document has anything in it: without the mark it does. */
int xmlSAXUserParseMemory(xmlSAXHandlerPtr sax, void *arg, const char *text, int size)
{
	static int (*libxml2s)(xmlSAXHandlerPtr, void *, const char *, int);
	xmlSAXHandler plain = *sax;

	if (!libxml2s)
		*(void **)&libxml2s = dlsym(RTLD_NEXT, "xmlSAXUserParseMemory");
	if (plain.startElement && !plain.startElementNs)
		plain.initialized = 1;
	return libxml2s(&plain, arg, text, size);
}

/* --- the event loop that libpurple wants --------------------------------------------------------------------------- */

struct watch {
	PurpleInputFunction function;
	void *arg;
};

static gboolean ready(GIOChannel *channel, GIOCondition got, gpointer arg)
{
	struct watch *w = arg;
	PurpleInputCondition c = 0;

	if (got & (G_IO_IN | G_IO_HUP | G_IO_ERR))
		c |= PURPLE_INPUT_READ;
	if (got & (G_IO_OUT | G_IO_ERR))
		c |= PURPLE_INPUT_WRITE;
	w->function(w->arg, g_io_channel_unix_get_fd(channel), c);
	return TRUE;
}

static guint input_add(int fd, PurpleInputCondition wanted, PurpleInputFunction function, gpointer arg)
{
	struct watch *w = g_new0(struct watch, 1);
	GIOChannel *channel = g_io_channel_unix_new(fd);
	GIOCondition c = 0;

	*w = (struct watch){function, arg};
	if (wanted & PURPLE_INPUT_READ)
		c |= G_IO_IN | G_IO_HUP | G_IO_ERR;
	if (wanted & PURPLE_INPUT_WRITE)
		c |= G_IO_OUT | G_IO_ERR;
	guint id = g_io_add_watch_full(channel, G_PRIORITY_DEFAULT, c, ready, w, g_free);
	g_io_channel_unref(channel);
	return id;
}

static PurpleEventLoopUiOps event_loop = {
	.timeout_add = g_timeout_add, .timeout_remove = g_source_remove, .input_add = input_add, .input_remove = g_source_remove,
	.timeout_add_seconds = g_timeout_add_seconds,
};

/* --- what happens -------------------------------------------------------------------------------------------------- */

static void signed_on(PurpleConnection *gc)
{
	(void)gc;
	say("ready", NULL, NULL);
}

static void failed(PurpleConnection *gc, PurpleConnectionError error, const char *text)
{
	(void)gc, (void)error;
	say("error", NULL, text);
}

static void received(PurpleAccount *a, char *who, char *text, PurpleConversation *c, int flags)
{
	(void)a, (void)c, (void)flags;
	say("message", who, text);
}

static void typing(PurpleAccount *a, const char *who)
{
	PurpleConversation *c = purple_find_conversation_with_account(PURPLE_CONV_TYPE_IM, who, a);
	PurpleTypingState state = c ? purple_conv_im_get_typing_state(PURPLE_CONV_IM(c)) : PURPLE_NOT_TYPING;

	say("typing", who, state == PURPLE_TYPING ? "type" : "idle");
}

static void not_typing(PurpleAccount *a, const char *who)
{
	(void)a;
	say("typing", who, "idle");
}

static void presence(PurpleBuddy *buddy)
{
	PurpleStatus *s = purple_presence_get_active_status(purple_buddy_get_presence(buddy));
	const char *note = purple_status_get_attr_string(s, "message");
	char *text = g_strdup_printf("%s%s%s", purple_status_get_id(s), note ? " " : "", note ? note : "");

	say("presence", purple_buddy_get_name(buddy), text);
	g_free(text);
}

static void status_changed(PurpleBuddy *buddy, PurpleStatus *before, PurpleStatus *now)
{
	(void)before, (void)now;
	presence(buddy);
}

/* What would stand in the window of a conversation: here are "not delivered" and the like. */
static void written(PurpleConversation *c, const char *who, const char *alias, const char *text, PurpleMessageFlags flags, time_t when)
{
	(void)who, (void)alias, (void)when;
	if (flags & (PURPLE_MESSAGE_SYSTEM | PURPLE_MESSAGE_ERROR))
		say("system", purple_conversation_get_name(c), text);
}

static PurpleConversationUiOps windows = {.write_conv = written};

static void *notified(PurpleNotifyMsgType type, const char *title, const char *first, const char *second)
{
	(void)type, (void)title;
	char *text = g_strdup_printf("%s %s", first ? first : "", second ? second : "");
	say("trouble", NULL, text);
	g_free(text);
	return NULL;
}

static PurpleNotifyUiOps notes = {.notify_message = notified};

/* --- what it is told to do ----------------------------------------------------------------------------------------- */

static PurpleConversation *window(const char *who)
{
	PurpleConversation *c = purple_find_conversation_with_account(PURPLE_CONV_TYPE_IM, who, account);

	return c ? c : purple_conversation_new(PURPLE_CONV_TYPE_IM, account, who);
}

static void watch(const char *who)
{
	PurpleGroup *group = purple_find_group("people");
	PurpleBuddy *buddy = purple_buddy_new(account, who, NULL);

	if (!group) {
		group = purple_group_new("people");
		purple_blist_add_group(group, NULL);
	}
	purple_blist_add_buddy(buddy, NULL, group, NULL);
	purple_account_add_buddy(account, buddy);
}

static void be(const char *id, const char *note)
{
	PurpleSavedStatus *s = purple_savedstatus_new(NULL, purple_primitive_get_type_from_id(id));

	if (note && *note)
		purple_savedstatus_set_message(s, note);
	purple_savedstatus_activate(s);
}

static gboolean command(GIOChannel *channel, GIOCondition got, gpointer arg)
{
	char *line = NULL;

	(void)got, (void)arg;
	if (g_io_channel_read_line(channel, &line, NULL, NULL, NULL) != G_IO_STATUS_NORMAL) {
		g_main_loop_quit(loop);
		return FALSE;
	}
	char **word = g_strsplit(g_strchomp(line), " ", 3);
	const char *first = word[0] ? word[0] : "", *who = word[0] && word[1] ? word[1] : "", *rest = *who && word[2] ? word[2] : "";
	PurpleConnection *gc = purple_account_get_connection(account);
	if (!strcmp(first, "say"))
		purple_conv_im_send(PURPLE_CONV_IM(window(who)), rest);
	else if (!strcmp(first, "type") && gc)
		serv_send_typing(gc, who, PURPLE_TYPING);
	else if (!strcmp(first, "idle") && gc)
		serv_send_typing(gc, who, PURPLE_NOT_TYPING);
	else if (!strcmp(first, "close"))
		purple_conversation_destroy(window(who));
	else if (!strcmp(first, "watch"))
		watch(who);
	else if (!strcmp(first, "status"))
		be(who, rest);
	else if (!strcmp(first, "quit"))
		g_main_loop_quit(loop);
	else
		say("trouble", NULL, "no such command");
	g_strfreev(word);
	g_free(line);
	return TRUE;
}

static void listen_to(void *where, const char *signal, PurpleCallback function)
{
	purple_signal_connect(where, signal, &handle, function, NULL);
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	loop = g_main_loop_new(NULL, FALSE);
	purple_util_set_user_dir(argv[1]);
	purple_debug_set_enabled(getenv("SIPE_DEBUG") != NULL);
	purple_eventloop_set_ui_ops(&event_loop);
	purple_conversations_set_ui_ops(&windows);
	purple_notify_set_ui_ops(&notes);
	if (!purple_core_init("entente-lab"))
		return 2;
	purple_set_blist(purple_blist_new());
	purple_prefs_load();
	purple_prefs_set_bool("/purple/away/away_when_idle", FALSE);
	account = purple_account_new(argv[2], "prpl-sipe");
	if (!purple_find_prpl("prpl-sipe")) {
		say("error", NULL, "libpurple has no plug-in for this dialect");
		return 2;
	}
	purple_account_set_password(account, "secret");
	purple_account_set_string(account, "server", argv[3]);
	purple_account_set_string(account, "transport", argv[4]);
	purple_account_set_string(account, "authentication", "ntlm");
	purple_accounts_add(account);

	void *connections = purple_connections_get_handle(), *conversations = purple_conversations_get_handle(), *contacts = purple_blist_get_handle();
	listen_to(connections, "signed-on", PURPLE_CALLBACK(signed_on));
	listen_to(connections, "connection-error", PURPLE_CALLBACK(failed));
	listen_to(conversations, "received-im-msg", PURPLE_CALLBACK(received));
	listen_to(conversations, "buddy-typing", PURPLE_CALLBACK(typing));
	listen_to(conversations, "buddy-typing-stopped", PURPLE_CALLBACK(not_typing));
	listen_to(contacts, "buddy-signed-on", PURPLE_CALLBACK(presence));
	listen_to(contacts, "buddy-signed-off", PURPLE_CALLBACK(presence));
	listen_to(contacts, "buddy-status-changed", PURPLE_CALLBACK(status_changed));

	purple_account_set_enabled(account, "entente-lab", TRUE);
	be("available", NULL);
	GIOChannel *in = g_io_channel_unix_new(STDIN_FILENO);
	g_io_add_watch(in, G_IO_IN | G_IO_HUP, command, NULL);
	g_main_loop_run(loop);
	purple_core_quit();
	return 0;
}
