/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: what is taken, what is refused and in which words. */
#include "rig.h"

static enum admin_parsed parse(const char *text, struct admin_line *l, char *why, size_t size)
{
	static char line[4096]; /* --socket is borrowed from it */
	const char *words[64];
	struct buf b;
	buf_init(&b, 65536);
	assert_true(slice_cstr(slice_str(text), line, sizeof line));
	enum admin_parsed p = admin_line_parse(l, rig_words(line, words, 64), words, &b);
	slice_cstr(buf_slice(&b), why, size);
	buf_free(&b);
	return p;
}

/* The arguments as JSON with sorted names. */
static void good(const char *text, enum admin_id id, const char *args)
{
	struct admin_line l;
	char why[1024];
	enum admin_parsed p = parse(text, &l, why, sizeof why);
	if (p != ADMIN_RUN)
		print_message("%s: %s\n", text, why);
	assert_int_equal(p, ADMIN_RUN);
	assert_int_equal(l.command->id, id);
	char *got = json_dumps(l.args, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(got, args);
	free(got);
	admin_line_free(&l);
}

static void bad(const char *text, const char *message)
{
	struct admin_line l;
	char why[1024];
	assert_int_equal(parse(text, &l, why, sizeof why), ADMIN_BAD);
	assert_string_equal(why, message);
	admin_line_free(&l);
}

static void words_and_options(void **state)
{
	(void)state;
	good("status", ADMIN_CMD_STATUS, "{}");
	good("partner xmpp add fabrikam.test --type federated", ADMIN_CMD_PARTNER_ADD, "{\"domain\":\"fabrikam.test\",\"type\":\"federated\"}");
	good("partner xmpp add --type=federated fabrikam.test", ADMIN_CMD_PARTNER_ADD, "{\"domain\":\"fabrikam.test\",\"type\":\"federated\"}");
	good("partner xmpp add --type FEDERATED -- fabrikam.test", ADMIN_CMD_PARTNER_ADD, "{\"domain\":\"fabrikam.test\",\"type\":\"federated\"}");
	good("history --limit 3", ADMIN_CMD_HISTORY, "{\"limit\":3}");
	good("reason", ADMIN_CMD_REASON, "{}");
	good("help partner xmpp add", ADMIN_CMD_HELP, "{\"command\":[\"partner\",\"xmpp\",\"add\"]}");
	good("partner xmpp set a.test --description 'two words' --connection-limit 0", ADMIN_CMD_PARTNER_SET,
	     "{\"connection-limit\":0,\"description\":\"two words\",\"domain\":\"a.test\"}");
}

static void domains_are_converted(void **state)
{
	(void)state;
	good("partner xmpp remove B\xc3\x9c" "CHER.test", ADMIN_CMD_PARTNER_REMOVE, "{\"domain\":\"xn--bcher-kva.test\"}");
	good("partner xmpp set Fabrikam.Test. --additional-domain A.test --additional-domain b.test", ADMIN_CMD_PARTNER_SET,
	     "{\"additional-domain\":[\"a.test\",\"b.test\"],\"domain\":\"fabrikam.test\"}");
}

static void other_spellings(void **state)
{
	(void)state;
	good("partner xmpp set a.test --no-sasl --no-dialback --disabled --no-server --no-keep-alive --no-additional-domains", ADMIN_CMD_PARTNER_SET,
	     "{\"additional-domain\":[],\"dialback\":false,\"domain\":\"a.test\",\"enabled\":false,\"keep-alive\":false,"
	     "\"sasl\":\"not-supported\",\"server\":\"\"}");
	good("partner xmpp set a.test --dialback --enabled=no --server [2001:db8::1]:5270", ADMIN_CMD_PARTNER_SET,
	     "{\"dialback\":true,\"domain\":\"a.test\",\"enabled\":false,\"server\":\"[2001:db8::1]:5270\"}");
}

static void general_options(void **state)
{
	struct admin_line l;
	char why[256];
	(void)state;
	assert_int_equal(parse("--json --socket /tmp/s show streams", &l, why, sizeof why), ADMIN_RUN);
	assert_true(l.json);
	assert_string_equal(l.socket, "/tmp/s");
	admin_line_free(&l);
	assert_int_equal(parse("show --json streams --socket=/tmp/t", &l, why, sizeof why), ADMIN_RUN);
	assert_string_equal(l.socket, "/tmp/t");
	admin_line_free(&l);
	assert_int_equal(parse("partner xmpp add --help", &l, why, sizeof why), ADMIN_HELP);
	assert_string_equal(l.words[2], "add");
	admin_line_free(&l);
	assert_int_equal(parse("-h", &l, why, sizeof why), ADMIN_HELP);
	assert_null(l.words[0]);
	admin_line_free(&l);
	assert_int_equal(parse("--version", &l, why, sizeof why), ADMIN_VERSION);
	admin_line_free(&l);
	assert_int_equal(parse("partner xmpp", &l, why, sizeof why), ADMIN_INCOMPLETE);
	assert_string_equal(l.words[1], "xmpp");
	admin_line_free(&l);
	assert_int_equal(parse("", &l, why, sizeof why), ADMIN_INCOMPLETE);
	admin_line_free(&l);
}

static void unknown_words(void **state)
{
	(void)state;
	bad("statsu", "there is no command 'statsu'; did you mean 'status'?");
	bad("partner xmpp ad", "there is no command 'ad' under 'partner xmpp'; did you mean 'add'?");
	bad("partner smtp add", "there is no command 'smtp' under 'partner'");
	bad("shwo streams", "there is no command 'shwo'; did you mean 'show'?");
	bad("xyzzy", "there is no command 'xyzzy'");
	bad("\x1b[31mred", "there is no command '?[31mred'");
	bad("history --limt 3", "there is no option '--limt'; did you mean '--limit'?");
	bad("partner xmpp set a.test --pin 0001", "--pin: '0001' is not a pin: SHA-256 of the public key, 64 hex digits or sha256//BASE64, is wanted");
	bad("partner xmpp set a.test --no-sals", "there is no option '--no-sals'; did you mean '--no-sasl'?");
	bad("status --xyzzy", "there is no option '--xyzzy'");
	bad("--jsn status", "options of a command follow its words; there is no general option '--jsn'; did you mean '--json'?");
	bad("status -v", "options have long names only; there is no '-v'");
}

static void wrong_values(void **state)
{
	(void)state;
	bad("partner xmpp add", "DOMAIN is missing: the partner's domain");
	bad("partner xmpp add a.test", "--type is missing: what the partner's users may do, and what they see (federated, public-verified, public-unverified)");
	bad("partner xmpp add a.test --type fedrated",
	    "--type: 'fedrated' is not one of federated, public-verified, public-unverified; did you mean 'federated'?");
	bad("partner xmpp add a.test --type none", "--type: 'none' is not one of federated, public-verified, public-unverified");
	bad("partner xmpp add juliet@a.test --type federated", "DOMAIN: 'juliet@a.test' is an address; a whole domain is meant here, what follows the '@'");
	bad("partner xmpp add a.test:5269 --type federated", "DOMAIN: 'a.test:5269' is not a domain; give the name alone, without scheme or port");
	bad("partner xmpp add *.test --type federated", "DOMAIN: '*.test' is not a domain; there are no patterns here, each domain is named");
	bad("partner xmpp add a.test --type federated --additional-domain *.test",
	    "--additional-domain: '*.test' is not a domain; *.fabrikam.example stands for all domains below fabrikam.example, other patterns do not exist");
	bad("partner xmpp add 10.0.0.1 --type federated", "DOMAIN: '10.0.0.1' is not a domain");
	bad("partner xmpp set a.test --server x:0", "--server: 'x:0' is not HOST, HOST:PORT or [IPV6]:PORT");
	bad("partner xmpp set a.test --server [::1", "--server: '[::1' is not HOST, HOST:PORT or [IPV6]:PORT");
	bad("history --limit many", "--limit: a whole number from 0 to 100000 is wanted");
	bad("history --limit 100001", "--limit: a whole number from 0 to 100000 is wanted");
	bad("history --limit", "--limit needs a value");
	bad("history --limit 1 --limit 2", "--limit is given twice");
	bad("partner xmpp set a.test --sasl required --no-sasl", "--sasl is given twice");
	bad("partner xmpp set a.test --dialback=perhaps", "--dialback: true or false is wanted");
	bad("reason a b", "one word too many: 'b'");
	bad("status now", "takes no arguments: 'now'");
	bad("status --json=yes", "--json takes no value");
	bad("partner xmpp set a.test --description '\x01'", "--description: one line of text is wanted, without control characters");
	bad("partner xmpp set a.test --description '\xff'", "--description: not UTF-8");
}

/* The same check for what comes over the socket, where types may be wrong too. */
static void wrong_json(void **state)
{
	static const struct {
		const char *args, *why;
	} rows[] = {
		{"{\"domain\":1,\"type\":\"federated\"}", "DOMAIN: a text is wanted"},
		{"{\"domain\":\"a.test\",\"type\":\"federated\",\"dialback\":\"yes\"}", "--dialback: true or false is wanted"},
		{"{\"domain\":\"a.test\",\"type\":\"federated\",\"connection-limit\":-1}", "--connection-limit: a whole number from 0 to 100000 is wanted"},
		{"{\"domain\":\"a.test\",\"type\":\"federated\",\"additional-domain\":\"b.test\"}", "--additional-domain: a list is wanted"},
		{"{\"domain\":\"a.test\",\"type\":\"federated\",\"additional-domain\":[\"b\",{}]}", "--additional-domain: a text is wanted"},
		{"{\"domain\":\"a.test\",\"type\":\"federated\",\"tsl\":\"required\"}", "there is no argument 'tsl'; did you mean 'tls'?"},
		{"{\"domain\":\"a\\u0000.test\",\"type\":\"federated\"}", NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf why;
		json_t *args = json_loads(rows[i].args, JSON_ALLOW_NUL, NULL);
		assert_non_null(args);
		buf_init(&why, 4096);
		assert_false(admin_args_check(admin_command_by_id(ADMIN_CMD_PARTNER_ADD), args, &why));
		buf_putc(&why, 0);
		if (rows[i].why)
			assert_string_equal(buf_slice(&why).p, rows[i].why);
		buf_free(&why);
		json_decref(args);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_and_options), cmocka_unit_test(domains_are_converted), cmocka_unit_test(other_spellings),
		cmocka_unit_test(general_options),   cmocka_unit_test(unknown_words),	      cmocka_unit_test(wrong_values),
		cmocka_unit_test(wrong_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
