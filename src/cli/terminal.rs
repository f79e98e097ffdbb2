//! Asking for a passphrase on the terminal, which does not show it. Whatever ends the question, a signal as well, the
//! terminal is as it was before.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::os::fd::AsFd as _;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use kubermatic_telemetry::keys::{Passphrase, PassphraseError};
use kubermatic_telemetry::store::durable;

/// What ends or stops a process that has not asked for it.
const SIGNALS: [Signal; 5] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP];

/// The terminal that somebody sits at.
pub struct Terminal {
    input: File,
    output: File,
}

impl Terminal {
    /// The terminal; nothing where stdin and stderr both lead elsewhere, so that nobody would see the question.
    pub fn open() -> Option<Self> {
        if !io::stdin().is_terminal() && !io::stderr().is_terminal() {
            return None;
        }
        Some(Self { input: File::open("/dev/tty").ok()?, output: durable::open_special("/dev/tty".as_ref()).ok()? })
    }

    /// Asks for a line that is not shown.
    pub fn ask(&self, question: &str) -> Result<Passphrase, PassphraseError> {
        loop {
            let signals = Signals::hold_back()?;
            let hidden = Hidden::new(&self.input)?;
            write!(&self.output, "{question}: ")?;
            let mut interrupted = false;
            let answer = Passphrase::read_line(Watched {
                terminal: &self.input,
                signals: &signals,
                interrupted: &mut interrupted,
            });
            drop(hidden);
            writeln!(&self.output)?;
            // Here a signal ends the process, or stops it; once it goes on the question is asked anew.
            drop(signals);
            if !interrupted {
                return answer;
            }
        }
    }
}

/// The terminal's input until a signal comes.
struct Watched<'t> {
    terminal: &'t File,
    signals: &'t Signals,
    interrupted: &'t mut bool,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut waited = [readable(self.signals.arrived.as_fd()), readable(self.terminal.as_fd())];
        match poll(&mut waited, PollTimeout::NONE) {
            Err(Errno::EINTR) => return Err(io::ErrorKind::Interrupted.into()),
            waited => waited?,
        };
        if waited[0].any().unwrap_or(true) {
            *self.interrupted = true;
            return Ok(0);
        }
        self.terminal.read(buffer)
    }
}

/// Signals that wait while this lives.
struct Signals {
    before: SigSet,
    arrived: SignalFd,
}

impl Signals {
    fn hold_back() -> io::Result<Self> {
        let set = SigSet::from_iter(SIGNALS);
        let arrived = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { before: set.thread_swap_mask(SigmaskHow::SIG_BLOCK)?, arrived })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // The mask is one that was in use; nothing could be done if it were refused.
        let _ = self.before.thread_set_mask();
    }
}

/// A terminal that does not show what is typed while this lives.
struct Hidden<'t> {
    terminal: &'t File,
    before: Termios,
}

impl<'t> Hidden<'t> {
    fn new(terminal: &'t File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHONL);
        tcsetattr(terminal, SetArg::TCSADRAIN, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // A terminal that is gone has nothing to restore.
        let _ = tcsetattr(self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}
