# SPDX-License-Identifier: Apache-2.0
"""The show. Every step says what it is about to do, does it, and checks that it really happened."""
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests", "lab")]
from daemon import BUILD, SOCKET, binary    # noqa: E402
from lab import Lab                     # noqa: E402
from ladder import WIDTH, Ladder        # noqa: E402
from waiting import LabError            # noqa: E402

COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "cyan": "36"}
COLOURED = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
KEEP = os.environ.get("KEEP", "") not in ("", "0")
PIDS = f"{BUILD}/lab/demo.pid"
SOON = 20       # seconds within which everything has to arrive


def paint(colour, text):
    return f"\033[{COLOURS[colour]}m{text}\033[0m" if COLOURED and text else text


class Demo:
    def __init__(self, lab):
        self.lab = lab
        self.steps = 0
        self.ladder = Ladder(lab.entented, paint)
        lab.observer = self.ladder.user

    # --- words on the screen ----------------------------------------------------------------------------------------

    def step(self, title, text=""):
        self.ladder.stop()
        self.steps += 1
        print("\n" + paint("bold", f"{self.steps}. {title}"))
        self.words(text)

    @staticmethod
    def words(text):
        for paragraph in textwrap.dedent(text).strip().split("\n\n"):
            if paragraph:
                print(textwrap.fill(" ".join(paragraph.split()), WIDTH - 3, initial_indent="   ", subsequent_indent="   "))
        sys.stdout.flush()

    def right(self, text):
        self.ladder.settle()
        print(paint("green", f"   ✔ {text}"), flush=True)

    @staticmethod
    def started(what, program):
        start = time.monotonic()
        program.start()
        print(f"   {paint('green', '✔')} {what} ({time.monotonic() - start:.1f} s)", flush=True)

    def admin(self, *words, status=0):
        """Run the CLI as the administrator would, and show what it printed."""
        print(f"   {paint('bold', '$ entente ' + shlex.join(words))}", flush=True)
        done = self.lab.entented.cli(*words)
        for line in (done.stdout + done.stderr).rstrip().splitlines():
            print(f"     {line}".rstrip())
        sys.stdout.flush()
        if status is not None and done.returncode != status:
            raise LabError(f"entente {shlex.join(words)} ended with status {done.returncode}")
        return done.stdout + done.stderr

    # --- the show ---------------------------------------------------------------------------------------------------

    def run(self):
        self.start_programs()
        self.add_partner()
        self.befriend()
        self.presence_to_sip()
        self.presence_to_xmpp()
        self.messages()
        self.offline()
        self.refusal()
        self.errors()
        self.look_around()

    def start_programs(self):
        lab = self.lab
        print(paint("bold", "Entente: a SIP organisation and the XMPP network, talking to each other"))
        self.words("""contoso.test is your organisation: its users are on a SIP server (Kamailio). fabrikam.test is the partner: its
            users are on an XMPP server (Prosody). SIP and XMPP are two languages for the same things: who is there, and what they
            write to each other. Entente stands between them and translates.

            All servers are real. They run on this computer in private namespaces, with a network of their own: nothing of the
            machine is touched, and all of it is gone at the end.""")
        self.step("Start the servers of both sides")
        self.started("name server for both domains, 127.0.0.53", lab.dns)
        self.started("Kamailio, the SIP server of contoso.test, 127.0.0.11", lab.home)
        self.started("Prosody, the XMPP server of fabrikam.test, 127.0.0.21", lab.xmpp)
        self.words("A demo authority has signed a certificate for each of them.")
        self.step("Start Entente", """Its whole configuration is this file: the own name and certificate, where it listens, and the SIP
            server of the organisation. Partners are not in it, they are managed while it runs.""")
        with open(lab.entented.config, encoding="utf-8") as f:
            for line in f.read().rstrip().splitlines()[2:]:
                print(paint("dim", f"     {line}"))
        self.admin("config", "check", lab.entented.config)
        self.started("entented is ready, 127.0.0.12", lab.entented)
        self.ladder.start()
        self.romeo, self.juliet = lab.sip_user("romeo"), lab.xmpp_user("juliet")
        self.words("Two users have signed in: romeo@contoso.test with a SIP client, juliet@fabrikam.test with an XMPP client.")

    def add_partner(self):
        self.step("Allow the partner", """Entente talks to nobody until it is told to. One command makes fabrikam.test a partner
            of the type federated: an organisation that you have an understanding with.""")
        self.admin("partner", "xmpp", "add", "fabrikam.test", "--type", "federated")
        self.words("And, once: who of our users may communicate with partners. Here: everybody.")
        self.admin("external-access", "set", "global", "--federation", "--xmpp")

    def befriend(self):
        romeo, juliet = self.romeo, self.juliet
        self.step("Contacts: romeo adds juliet, juliet agrees and adds romeo", """From here on a ladder shows each message on its way,
            from top to bottom: SIP on the left of Entente, XMPP on the right. To watch somebody a SIP client sends SUBSCRIBE and is
            kept informed with NOTIFY; XMPP calls the same subscribe, subscribed (that is: yes) and presence. The two servers
            connect when the first message needs it, and prove with certificates who they are.""")
        self.ladder.actors("romeo", "juliet")
        romeo.subscribe(juliet.name)
        romeo.expect_presence(juliet.name, state="pending", timeout=SOON)
        juliet.expect_presence(romeo.name, "subscribe", timeout=SOON)
        juliet.approve(romeo.name)
        romeo.expect_presence(juliet.name, basic="open", timeout=SOON)
        self.right("juliet has agreed, and romeo sees that she is available")
        juliet.subscribe(romeo.name)
        juliet.expect_presence(romeo.name, "subscribed", timeout=SOON)
        juliet.expect_presence(romeo.name, "available", timeout=SOON)
        self.right("romeo's server has agreed for him, and juliet sees that he is available")

    def presence_to_sip(self):
        romeo, juliet = self.romeo, self.juliet
        self.step("Presence, from XMPP to SIP", """juliet goes away, then is busy (XMPP: dnd, do not disturb) and says why. SIP wants
            watchers told at most every five seconds (RFC 3856), so Entente may hold a change back that long.""")
        self.ladder.actors("romeo", "juliet")
        juliet.show("away")
        romeo.expect_presence(juliet.name, basic="open", show="away", timeout=SOON)
        self.right("romeo sees juliet away")
        juliet.show("dnd", "Probe bis 5 🎭")
        romeo.expect_presence(juliet.name, basic="open", show="dnd", note="Probe bis 5 🎭", timeout=SOON)
        self.right("romeo sees juliet busy, with her note")

    def presence_to_xmpp(self):
        romeo, juliet = self.romeo, self.juliet
        self.step("Presence, from SIP to XMPP", """romeo does the same: his client tells Kamailio with PUBLISH, and Kamailio tells those
            who watch him, which for juliet is Entente.""")
        self.ladder.actors("romeo", "juliet")
        romeo.publish(activity="away")
        juliet.expect_presence(romeo.name, show="away", timeout=SOON)
        self.right("juliet sees romeo away")
        romeo.publish(activity="busy", note="beim Fechten ⚔")
        juliet.expect_presence(romeo.name, show="dnd", note="beim Fechten ⚔", timeout=SOON)
        self.right("juliet sees romeo busy, with his note")

    def messages(self):
        romeo, juliet = self.romeo, self.juliet
        self.step("Messages both ways", """In any script, with any character. romeo's client hears 200 OK, accepted, only after
            Entente has handed his message to Prosody.""")
        self.ladder.actors("romeo", "juliet")
        text = "Grüße, Julia 你好 <3"
        romeo.say(juliet.name, text)
        juliet.expect_message(romeo.name, text, timeout=SOON)
        self.right("juliet got exactly what romeo wrote")
        answer = "Привет, Ромео 🌹"
        juliet.message(romeo.name, answer)
        romeo.expect_message(juliet.name, answer, timeout=SOON)
        self.right("romeo got exactly what juliet wrote")

    def offline(self):
        romeo, juliet = self.romeo, self.juliet
        self.step("Going offline", "Each leaves once and comes back; the other one sees it.")
        self.ladder.actors("romeo", "juliet")
        juliet.unavailable()
        romeo.expect_presence(juliet.name, basic="closed", timeout=SOON)
        self.right("romeo sees juliet offline")
        juliet.seen.forget()
        juliet.show()
        juliet.expect_presence(romeo.name, "available", timeout=SOON)
        romeo.expect_presence(juliet.name, basic="open", timeout=SOON)
        self.right("juliet is back: she is shown at once what romeo is doing, and romeo sees her")
        romeo.unpublish()
        juliet.expect_presence(romeo.name, "unavailable", timeout=SOON)
        self.right("juliet sees romeo offline")
        romeo.publish()
        juliet.expect_presence(romeo.name, "available", timeout=SOON)
        self.right("juliet sees romeo available again")

    def refusal(self):
        romeo = self.romeo
        self.step("A refusal, and why", """litware.test is another domain on the same XMPP server, but nobody made it a partner. romeo
            writes to tybalt@litware.test, and tybalt writes to romeo.""")
        tybalt = self.lab.xmpp_user("tybalt@litware.test")
        self.ladder.actors("romeo", "tybalt")
        answer = romeo.message(tybalt.name, "Tybalt, you rat-catcher!")
        reason = (answer.get("entente-reason") or "").split(";")[0].strip()
        if answer.status != 403 or reason != "policy/partner-unknown":
            raise LabError(f"romeo should get 403 with policy/partner-unknown, but got {answer.status} with {reason!r}")
        self.right(f"romeo's client is told no, and why: {reason}")
        number = tybalt.message(romeo.name, "Thou art a villain.")
        error = tybalt.expect_error(romeo.name, id=number, timeout=40)
        romeo.expect_no_message(tybalt.name, 0.5)
        tybalt.expect_no_message(romeo.name, 0)
        self.right(f"litware.test is not let in at all; tybalt is told by his own server: {error.condition}")
        self.words("The administrator can ask why, before or after it happens:")
        said = self.admin("explain", "--from", f"sip:{romeo.name}", "--to", f"xmpp:{tybalt.name}", "--kind", "message",
                          status=None)
        if "policy/partner-unknown" not in said:
            raise LabError("entente explain should name policy/partner-unknown")

    def errors(self):
        romeo, juliet = self.romeo, self.juliet
        self.step("Errors travel back", """juliet and romeo each write to somebody who does not exist. Entente translates the error; neither
            side is told which addresses exist, so that nobody can collect them by trying.""")
        self.ladder.actors("romeo", "juliet")
        number = juliet.message("nobody@contoso.test", "Anybody home?")
        juliet.expect_error("nobody@contoso.test", "service-unavailable", id=number, timeout=SOON)
        self.right("juliet's client shows: service-unavailable")
        answer = romeo.message("nobody@fabrikam.test", "Anybody home?")
        if not 400 <= answer.status < 500:
            raise LabError(f"romeo should get a 4xx for an unknown user of fabrikam.test, but got {answer.status}")
        self.right(f"romeo's client shows: {answer.status} {answer.reason}")

    def sign_off(self):
        """Make room for the users' own clients."""
        self.romeo.offline()
        self.juliet.logout()
        self.lab.close_users()

    def look_around(self):
        self.step("What the administrator sees", "How the daemon is, the connections with partners, and who watches whom.")
        self.admin("status")
        self.admin("show", "streams")
        self.admin("show", "subscriptions")


def keep(lab):
    """Leave all running until somebody stops us."""
    for name in ("juliet", "nurse"):
        lab.xmpp_device(name)
    with open(PIDS, "w", encoding="utf-8") as f:
        f.write(f"{os.environ['DEMO_PID']} {os.getpid()}\n")      # ours outside, seen from there, and inside
    tool = os.path.relpath(os.path.join(HERE, "enter"))
    print(f"""
{paint('bold', 'All went well, and everything stays up. Sign in yourself:')}
   XMPP   juliet@fabrikam.test, nurse@fabrikam.test     password secret   server 127.0.0.21 port 5222
   SIP    romeo@contoso.test, mercutio@contoso.test     no password       proxy  127.0.0.11 port 5060 (UDP or TCP)
   A client that asks about certificates has to trust this authority: {lab.certs}/ca.pem

   These addresses are inside the demo's own network. In another terminal, from this folder:
     {tool} CMD                 run a shell or a text client there
     {tool} --desktop CMD       run a client with windows there
     {tool} {os.path.relpath(binary("entente"))} status
     {tool} --stop              stop the demo; Ctrl-C here does the same
   Logs: {lab.run}
""", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print()
    finally:
        os.unlink(PIDS)


def interrupt(*_):
    raise KeyboardInterrupt


def main():
    signal.signal(signal.SIGTERM, interrupt)
    os.makedirs(f"{BUILD}/lab", exist_ok=True)
    run = tempfile.mkdtemp(prefix="demo.", dir=f"{BUILD}/lab")
    lab = None
    try:
        lab = Lab(peer="prosody", run=run, log_level="info", settings="")
        demo = Demo(lab)
        demo.run()
        demo.ladder.stop()
        demo.ladder.end()
        if KEEP:
            demo.sign_off()
            keep(lab)
        lab.close_users()
        status = lab.entented.stop()
        if status != 0:
            raise LabError(f"entented ended with status {status}")
        lab.stop()
    except (LabError, subprocess.CalledProcessError) as e:
        time.sleep(0.5)
        sys.stdout.flush()
        print("\n" + paint("red", f"demo: failed: {e}"))
        if lab:
            print(lab.log_excerpt())
            lab.close_users()
            lab.kill()
        print(f"all logs: {run}")
        return 1
    except KeyboardInterrupt:
        if lab:
            lab.close_users()
            lab.kill()
        shutil.rmtree(run, ignore_errors=True)
        print("\ndemo: stopped")
        return 130
    shutil.rmtree(run, ignore_errors=True)
    print("\n" + paint("green", "demo: ok"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
