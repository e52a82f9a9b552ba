/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: certificates of our own, and those that partners show. */
#include "admin/command_set.h"
#include "plan/request.h"

#define USAGES "server|client|internal"
#define FILE_ARG {"file", ADMIN_PATH, .def = CONFIG_FILE, .help = "the configuration file; imported certificates are kept in the folder certificates beside it, keys in /etc/entente-keys"}
#define FORCE_ARG(what) {"force", ADMIN_BOOL, .help = what}
#define NO_RELOAD_ARG {"no-reload", ADMIN_BOOL, .help = "do not tell the daemon; it takes the files up at its next reload"}
#define PASSWORD_ARG {"password-file", ADMIN_PATH, .def = "asked for on the terminal", .help = "the first line is the password of what is encrypted"}

static const struct admin_arg request_args[] = {
	{"usage", ADMIN_ENUM, .values = USAGES, .def = "server", .help = "what the certificate is for; the plan has its names"},
	{"key", ADMIN_ENUM, .values = PLAN_KEY_NAMES, .def = "rsa-2048", .help = "kind of the private key; p-256 is faster, very old partners know only RSA"},
	{"same-key", ADMIN_BOOL, .help = "use the key that is in use now, so that partners' pins stay right"},
	{"name", ADMIN_DOMAINS_BELOW, ADMIN_MANY, .help = "a name beside those of the plan; *.contoso.example: a wildcard, which SIP partners refuse"},
	{"address", ADMIN_TEXT, ADMIN_MANY, .max = 45, .help = "a public IP address of this server, as for the plan"},
	{"domain", ADMIN_DOMAIN, ADMIN_MANY, .help = "a domain of ours that the configuration does not name, as on an edge of its own"},
	{"sip-federation", ADMIN_BOOL, .help = "with the names for SIP partners, before sip.external-listen is set"},
	{"client-eku", ADMIN_BOOL, .help = "ask for clientAuth too; public authorities no longer give it"},
	{"key-file", ADMIN_PATH, .def = "/etc/entente-keys/USAGE-request.key", .help = "where the private key is written, mode 0640; without the folder for keys, in certificates"},
	{"request-file", ADMIN_PATH, .def = "certificates/USAGE-request.csr", .help = "where the request is written"},
	FILE_ARG,
	FORCE_ARG("make another key in the place of one that waits for its certificate"),
};
static const struct admin_field request_fields[] = {
	{"usage", "server, client or internal"}, {"subject", "common name of the request"}, {"names[]", "dNSName of each"}, {"purposes[]", "extended key usages"},
	{"key", "kind of the key"}, {"key_file", "where it is"}, {"request_file", "where the request is"}, {"request", "the request, PEM"},
	{"issuer", "who should issue the certificate"}, {"next[]", "what to do next"},
};

static const struct admin_arg import_args[] = {
	{"certificate", ADMIN_PATH, ADMIN_POSITIONAL | ADMIN_REQUIRED | ADMIN_MANY, .help = "what the authority sent: PEM, DER, PKCS#7 or PKCS#12, in any order; -: standard input"},
	{"usage", ADMIN_ENUM, ADMIN_MANY, .values = USAGES, .def = "none: it is only kept", .help = "put it into the files of this usage at once"},
	{"key", ADMIN_PATH, .def = "found by the public key", .help = "file with the private key"},
	{"name", ADMIN_TEXT, .max = 100, .def = "first name and last day", .help = "what it is called from now on"},
	PASSWORD_ARG, FILE_ARG,
	FORCE_ARG("even when it is expired, for another purpose, incomplete or for none of the planned names"),
	WHAT_IF_ARG, NO_RELOAD_ARG,
};
#define FINDINGS {"findings[].severity", "error or warning"}, {"findings[].text", "what is wrong and what would be right"}
#define FACTS(p)                                                                                                               \
	{p "subject", "distinguished name"}, {p "issuer", "of the authority"}, {p "serial", "hexadecimal"}, {p "names[]", "dNSName of each"}, \
	{p "not_before", "first moment, RFC 3339"}, {p "not_after", "last moment, RFC 3339"}, {p "remaining", "part of the lifetime that is left, 1 to 0"}, \
	{p "state", "fine, renew, soon, critical, urgent, expired"}, {p "purposes[]", "extended key usages; empty: any"},        \
	{p "sha256", "of the certificate"}, {p "pin", "SHA-256 of its public key"}
static const struct admin_field import_fields[] = {
	{"certificate_name", "what it is called from now on"}, {"certificate_file", "where it is kept"}, {"key_file", "where its key is kept"},
	{"key", "kind of the key"}, {"key_from", "the file in which the key was found"}, {"chain", "certificates in the chain"},
	FACTS(""), {"missing[]", "names of the plan that it lacks"}, FINDINGS,
	{"assigned[].usage", "server, client or internal"}, {"assigned[].certificate", "file that was replaced"}, {"assigned[].key", "file that was replaced"},
	{"assigned[].previous", "where the old certificate is"}, {"reload", "done, or why not"}, {"next[]", "what to do next"}, {"changed", "false with --what-if"},
};

static const struct admin_arg assign_args[] = {
	{"certificate", ADMIN_TEXT, ADMIN_POSITIONAL | ADMIN_REQUIRED, .max = 4095, .help = "a name of `entente certificate show`, or the path of a file"},
	{"usage", ADMIN_ENUM, ADMIN_MANY | ADMIN_REQUIRED, .values = USAGES, .help = "whose files are replaced"},
	{"key", ADMIN_PATH, .def = "found by the public key", .help = "file with the private key"},
	PASSWORD_ARG, FILE_ARG,
	FORCE_ARG("even when it is expired, for another purpose, incomplete or for none of the planned names"),
	WHAT_IF_ARG, NO_RELOAD_ARG,
};
static const struct admin_field assign_fields[] = {
	{"key", "kind of the key"}, {"key_from", "the file in which the key was found"}, {"chain", "certificates in the chain"},
	FACTS(""), {"missing[]", "names of the plan that it lacks"}, FINDINGS,
	{"assigned[].usage", "server, client or internal"}, {"assigned[].certificate", "file that was replaced"}, {"assigned[].key", "file that was replaced"},
	{"assigned[].previous", "where the old certificate is"}, {"reload", "done, or why not"}, {"next[]", "what to do next"}, {"changed", "false with --what-if"},
};

static const struct admin_arg show_args[] = {
	{"usage", ADMIN_ENUM, .values = USAGES, .def = "all", .help = "only this one, with all its names"},
	{"address", ADMIN_TEXT, ADMIN_MANY, .max = 45, .help = "a public IP address of this server, as for the plan"},
	{"domain", ADMIN_DOMAIN, ADMIN_MANY, .help = "a domain of ours that the configuration does not name, as on an edge of its own"},
	{"sip-federation", ADMIN_BOOL, .help = "compare with the plan for SIP partners too, before sip.external-listen is set"},
	{"client-eku", ADMIN_BOOL, .help = "some partner wants a certificate that is also good for clients"},
	FILE_ARG,
};
static const struct admin_field show_fields[] = {
	{"slots[].usage", "server, client or internal"}, {"slots[].setting", "of the configuration"}, {"slots[].certificate", "its file"}, {"slots[].key_file", "of its key"},
	{"slots[].same_as", "the usage whose certificate it shares"}, FACTS("slots[]."), {"slots[].key", "kind of the key"}, {"slots[].chain", "certificates in the file"},
	{"slots[].missing[]", "names of the plan that it lacks"}, {"slots[].findings[].severity", "error or warning"}, {"slots[].findings[].text", "what is wrong"},
	{"slots[].in_force", "whether the daemon shows this very certificate; absent when it does not answer"},
	{"kept[].certificate_name", "of `entente certificate assign`"}, {"kept[].subject", "distinguished name"}, {"kept[].not_after", "last moment, RFC 3339"}, {"kept[].remaining", "part of the lifetime that is left"},
	{"kept[].state", "as above"}, {"kept[].assigned[]", "usages that have it"},
	{"waiting[].usage", "a request whose certificate has not come"}, {"waiting[].request_file", "where the request is"}, {"waiting[].since", "RFC 3339"},
	{"partners[].domain", "who has shown it"}, {"partners[].protocol", "xmpp or sip"}, {"partners[].subject", "distinguished name"}, {"partners[].issuer", "of the authority"}, {"partners[].not_after", "last moment, RFC 3339"},
	{"partners[].remaining", "part of the lifetime that is left"}, {"partners[].state", "as above"}, {"partners[].believed", "whether its chain is good"}, {"partners[].seen", "last time, RFC 3339"},
};

static const struct admin_field list_fields[] = {
	{"own[].usage", "server, client or internal"}, FACTS("own[]."),
	{"partners[].domain", "who has shown it"}, {"partners[].protocol", "xmpp or sip"}, {"partners[].subject", "distinguished name"}, {"partners[].issuer", "of the authority"},
	{"partners[].not_before", "first moment, RFC 3339"}, {"partners[].not_after", "last moment, RFC 3339"}, {"partners[].remaining", "part of the lifetime that is left"},
	{"partners[].state", "fine, renew, soon, critical, urgent, expired"}, {"partners[].believed", "whether its chain is good"}, {"partners[].sha256", "of the certificate"}, {"partners[].seen", "last time, RFC 3339"},
};
static const struct admin_arg list_args[] = {
	{"expiring", ADMIN_BOOL, .help = "only those of which less than a quarter of the lifetime is left"},
};

static const struct admin_group groups[] = {
	{{"certificate"}, "request, import, assign and show certificates"},
};

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_CERTIFICATE_REQUEST, .local = true, .changes = true, .path = {"certificate", "request"}, .summary = "make a key and a request for its certificate",
	 .help = "The request has every name that the configuration asks for (`entente plan certificates`). The key never leaves this machine; it waits "
		 "in the folder certificates beside the configuration until `entente certificate import` finds its certificate. Nothing that is in use is touched.",
	 .example = "entente certificate request\nentente certificate request --key p-256 --name chat.contoso.example\nentente certificate request --usage client --client-eku",
	 ARGS(request_args), FIELDS(request_fields)},

	{.id = ADMIN_CMD_CERTIFICATE_IMPORT, .local = true, .changes = true, .path = {"certificate", "import"}, .summary = "take a certificate from the authority",
	 .help = "Finds the leaf and its private key by the public key (in the files, with the requests that wait, in use now), puts the chain in order, and checks "
		 "it: names, purpose, dates, a missing intermediate. Then it is kept, and with --usage put into the files of that usage.",
	 .example = "entente certificate import reply.p7b --usage server\nentente certificate import old-edge.pfx --password-file pass.txt",
	 ARGS(import_args), FIELDS(import_fields)},

	{.id = ADMIN_CMD_CERTIFICATE_ASSIGN, .local = true, .changes = true, .path = {"certificate", "assign"}, .summary = "put a certificate into its place",
	 .help = "Replaces the files that the settings name (tls.certificate and tls.key, tls.client-..., link...), both or none; what stood there stays beside them as "
		 ".previous. The daemon reloads: new handshakes show the new certificate, open connections stay. When it refuses, the old files come back.",
	 .example = "entente certificate assign sip.contoso.example-2027-02-20 --usage server\n"
		    "entente certificate assign /etc/letsencrypt/live/sip.contoso.example/fullchain.pem --key /etc/letsencrypt/live/sip.contoso.example/privkey.pem --usage server",
	 ARGS(assign_args), FIELDS(assign_fields)},

	{.id = ADMIN_CMD_CERTIFICATE_SHOW, .local = true, .path = {"certificate", "show"}, .summary = "compare our certificates with the plan",
	 .help = "Each usage with its certificate, what is wrong with it and what it lacks; what is kept; requests that wait; and, when the daemon answers, the "
		 "certificates that partners have shown. Exits with 1 when one of ours needs attention.",
	 .example = "entente certificate show", ARGS(show_args), FIELDS(show_fields)},

	{.id = ADMIN_CMD_CERTIFICATE_LIST, .roles = ADMIN_MAY_SEE, .where = ADMIN_AT_BOTH, .path = {"certificate", "list"}, .summary = "list certificates in force, partners' ones too",
	 .help = "As the daemon sees them, with the part of the lifetime that is left: less than a quarter is a warning, an eighth is critical, a twelfth urgent.",
	 .example = "entente certificate list --expiring", ARGS(list_args), FIELDS(list_fields)},
};

const struct admin_command_set admin_commands_certificate = {GROUPS(groups), COMMANDS(commands)};
