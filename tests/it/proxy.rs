//! A TCP proxy before the server that loses what it is told to lose. Owns connections; what a loss means is
//! the tests' business.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of the next bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fault {
    /// They pass.
    None = 0,
    /// The client's next words are not passed on; both ends are closed.
    LoseRequest = 1,
    /// The client's next words are passed on, the server acts, and its answer is lost; both ends are closed.
    LoseAnswer = 2,
    /// Nobody gets a connection, and those that are there are closed with their next words.
    Refuse = 3,
    /// Everything comes late, until that is taken back.
    Delay = 4,
    /// Connections stay and carry nothing any more, not even later. Lasts until it is taken back.
    Silence = 5,
    /// The client is told that nothing more comes, in place of the next answer; what it says is still passed on.
    HalfClose = 6,
}

/// How late bytes come that are delayed.
const DELAY: std::time::Duration = std::time::Duration::from_millis(300);

/// A proxy on a port of its own.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    set: Arc<Set>,
    plan: Arc<Plan>,
}

/// The fault that is set, and what it has done so far.
#[derive(Default)]
struct Set {
    fault: AtomicU8,
    /// Connections or pieces of them that met it.
    met: AtomicU32,
}

impl Set {
    /// Whether this fault is set; then it was met here.
    fn is_met(&self, fault: Fault) -> bool {
        let is = self.fault.load(Ordering::SeqCst) == fault as u8;
        self.met.fetch_add(u32::from(is), Ordering::SeqCst);
        is
    }

    /// It happens once.
    fn spend(&self) {
        self.fault.store(Fault::None as u8, Ordering::SeqCst);
    }
}

/// A fault at one of the words to come.
#[derive(Default)]
struct Plan {
    said: AtomicU64,
    at: AtomicU64,
    fault: AtomicU8,
}

impl Proxy {
    pub(crate) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let set = Arc::<Set>::default();
        let plan = Arc::new(Plan { at: AtomicU64::new(u64::MAX), ..Plan::default() });
        let port_here = listener.local_addr().unwrap().port();
        let proxy = Self { port: port_here, set: set.clone(), plan: plan.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, port, set.clone(), plan.clone()));
            }
        });
        proxy
    }

    /// One loss; `Refuse`, `Delay` and `Silence` last until it is taken back.
    pub(crate) fn next(&self, fault: Fault) {
        self.set.met.store(0, Ordering::SeqCst);
        self.set.fault.store(fault as u8, Ordering::SeqCst);
    }

    /// One loss at the word with this number from now on, the next being 0.
    pub(crate) fn nth(&self, number: u64, fault: Fault) {
        self.plan.fault.store(fault as u8, Ordering::SeqCst);
        self.plan.at.store(self.said() + number, Ordering::SeqCst);
    }

    /// How often clients have said something so far.
    pub(crate) fn said(&self) -> u64 {
        self.plan.said.load(Ordering::SeqCst)
    }

    /// Whether the fault that was set has happened.
    pub(crate) fn is_spent(&self) -> bool {
        self.set.fault.load(Ordering::SeqCst) == Fault::None as u8
    }

    /// Whether anything met the fault that was set last.
    pub(crate) fn was_met(&self) -> bool {
        self.set.met.load(Ordering::SeqCst) > 0
    }
}

async fn pass(mut client: TcpStream, port: u16, set: Arc<Set>, plan: Arc<Plan>) -> Option<()> {
    let is = |fault: Fault| set.is_met(fault);
    if is(Fault::Refuse) {
        return None;
    }
    let mut server = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut answer_is_lost = false;
    let late = async || {
        if is(Fault::Delay) {
            tokio::time::sleep(DELAY).await;
        }
        if is(Fault::Silence) {
            std::future::pending().await
        }
    };
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let bytes = read.ok().filter(|bytes| *bytes > 0)?;
                if plan.said.fetch_add(1, Ordering::SeqCst) == plan.at.load(Ordering::SeqCst) {
                    set.fault.store(plan.fault.load(Ordering::SeqCst), Ordering::SeqCst);
                }
                late().await;
                if is(Fault::Refuse) {
                    return None;
                }
                if is(Fault::LoseRequest) {
                    set.spend();
                    return None;
                }
                answer_is_lost |= is(Fault::LoseAnswer);
                server.write_all(&up[..bytes]).await.ok()?;
            }
            read = server.read(&mut down) => {
                let bytes = read.ok().filter(|bytes| *bytes > 0)?;
                late().await;
                if is(Fault::HalfClose) {
                    set.spend();
                    client.shutdown().await.ok()?;
                    while let Ok(bytes @ 1..) = client.read(&mut up).await {
                        server.write_all(&up[..bytes]).await.ok()?;
                    }
                    return None;
                }
                if answer_is_lost {
                    set.spend();
                    return None;
                }
                client.write_all(&down[..bytes]).await.ok()?;
            }
        }
    }
}
