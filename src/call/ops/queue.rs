//! `enqueue` and `dequeue`: a caller waits until somebody takes it; whoever takes talks with the caller who came first.
//! TwiML's `<Enqueue>`, `<Leave>` and `<Dial><Queue>` use them.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::talk::{Talk, TalkEnd};
use super::waiting::{WaitEnd, WaitFlow, WaitSound};
use crate::audio::Clip;
use crate::base::cause::Cause;
use crate::call::error::CallError;
use crate::call::handle::CallHandle;
use crate::call::queue::{Handover, Queue, Step};
use crate::host::clock;
use crate::journal::Code;

/// Where and how to wait.
#[derive(Debug, Clone)]
pub struct EnqueueOptions {
    /// The queue's name; one of that name an account.
    pub name: String,
    /// What the caller hears. A flow is told place and time, and may end the waiting.
    pub wait: WaitSound,
    /// A queue in which so many wait takes nobody.
    pub most: usize,
    /// The longest wait.
    pub limit: Option<Duration>,
}

impl Default for EnqueueOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            wait: WaitSound::HoldMusic,
            most: 100,
            limit: None,
        }
    }
}

/// How a wait went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueued {
    /// What became of the caller.
    pub result: QueueResult,
    /// Names the queue.
    pub queue_id: String,
    /// How long the caller waited.
    pub waited: Duration,
    /// How long it talked with whoever took it.
    pub talked: Option<Duration>,
}

/// What became of a caller in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueResult {
    /// It talked with somebody, who has left.
    Bridged,
    /// It hung up.
    Hangup,
    /// It did not want to wait any longer.
    Leave,
    /// Its waiting flow sent it elsewhere.
    Redirected,
    /// It was transferred while it talked: the flow has to end.
    RedirectedFromBridged,
    /// Too many waited already.
    QueueFull,
    /// Nobody took it in time.
    Timeout,
}

impl QueueResult {
    /// TwiML's `QueueResult`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bridged => "bridged",
            Self::Hangup => "hangup",
            Self::Leave => "leave",
            Self::Redirected => "redirected",
            Self::RedirectedFromBridged => "redirected-from-bridged",
            Self::QueueFull => "queue-full",
            // Twilio has no word for it: its callers wait for ever.
            Self::Timeout => "error",
        }
    }
}

/// Whom to take, and how to talk.
#[derive(Clone)]
pub struct DequeueOptions {
    /// The queue's name.
    pub name: String,
    /// How long to wait while nobody is in the queue.
    pub timeout: Option<Duration>,
    /// What is heard until then.
    pub wait: WaitSound,
    /// What the caller hears before both talk (TwiML's `url` of `<Queue>`).
    pub announce: Option<WaitFlow>,
    /// What a party hears that the other puts on hold.
    pub hold_music: Option<Arc<Clip>>,
    /// The longest time the two may talk.
    pub limit: Option<Duration>,
}

impl Default for DequeueOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            timeout: Some(Duration::from_secs(30)),
            wait: WaitSound::HoldMusic,
            announce: None,
            hold_music: None,
            limit: None,
        }
    }
}

impl fmt::Debug for DequeueOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DequeueOptions")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How taking somebody went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dequeued {
    /// Whether both talked, and how that ended.
    pub result: DequeueResult,
    /// Names the queue.
    pub queue_id: String,
    /// Call-ID of the caller.
    pub call_id: Option<String>,
    /// How long the caller had waited.
    pub waited: Duration,
    /// How long both talked.
    pub talked: Duration,
}

/// Whether both talked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DequeueResult {
    /// They did, and the caller has left.
    Bridged {
        /// Why.
        cause: Cause,
    },
    /// One of them was transferred while they did: the flow has to end when this call was.
    Transferred,
    /// Nobody came in time.
    Empty,
}

impl CallHandle {
    /// Answers, and waits in the queue. A hang-up is a normal end of it. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// When the call had ended before, or has no media.
    pub async fn enqueue(&self, options: EnqueueOptions) -> Result<Enqueued, CallError> {
        self.answer().await?;
        self.open_media().await?;
        let account = self.facts().account.id.to_string();
        let queue = self.core().queue(&account, &options.name);
        let begin = clock::now();
        let mut done = Enqueued {
            result: QueueResult::QueueFull,
            queue_id: queue.id.clone(),
            waited: Duration::ZERO,
            talked: None,
        };
        let most = options.most.min(MOST_WAITING);
        let Some(ticket) = queue.join(self, most) else {
            let values = vec![("queue", options.name.clone()), ("limit", most.to_string())];
            self.trouble(Code::QueueFull, values);
            return Ok(done);
        };
        let place = Place {
            call: self.clone(),
            queue,
            ticket,
        };
        loop {
            let waited = clock::now().saturating_duration_since(begin);
            let waiting = Box::pin(self.wait_in(&place, &options.wait));
            let end = match options.limit {
                Some(limit) => {
                    let left = limit.saturating_sub(waited);
                    match tokio::time::timeout(left, waiting).await {
                        Ok(end) => end,
                        Err(_elapsed) => Turn::Over(QueueResult::Timeout),
                    }
                }
                None => waiting.await,
            };
            match end {
                Turn::Over(result) => {
                    done.result = result;
                    done.waited = clock::now().saturating_duration_since(begin);
                    return Ok(done);
                }
                Turn::Taken(handover) => {
                    let Some((result, talked)) = self.be_taken(&place, &handover).await else {
                        self.state_mut().handover = None;
                        place.queue.take_back(&handover);
                        continue;
                    };
                    done.waited = handover.waited;
                    (done.result, done.talked) = (result, talked);
                    return Ok(done);
                }
            }
        }
    }

    async fn wait_in(&self, place: &Place, sound: &WaitSound) -> Turn {
        let taken = self.wait(|state| {
            let own = |handover: &Rc<Handover>| place.queue.is_of(handover, place.ticket);
            state.handover.clone().filter(own)
        });
        // Keys belong to the waiting flow.
        tokio::select! {
            biased;
            taken = taken => match taken {
                Ok(handover) => Turn::Taken(handover),
                Err(_ended) => Turn::Over(QueueResult::Hangup),
            },
            end = self.entertain(sound, || place.queue.facts(place.ticket)) => Turn::Over(match end {
                Ok(WaitEnd::Leave) => QueueResult::Leave,
                Ok(WaitEnd::Redirected) => QueueResult::Redirected,
                Ok(WaitEnd::Done | WaitEnd::Failed) | Err(_) => QueueResult::Hangup,
            }),
        }
    }

    /// Somebody has taken this caller: talks with them, who drive the talk. `None`: they went away before.
    async fn be_taken(
        &self,
        place: &Place,
        handover: &Handover,
    ) -> Option<(QueueResult, Option<Duration>)> {
        if let Some(flow) = &handover.announce {
            let facts = place.queue.facts(place.ticket);
            tokio::select! {
                biased;
                _off = self.wait(|_| (handover.step() == Step::Off).then_some(())) => {}
                _told = flow(self.clone(), facts) => {}
            }
        }
        if self.ended().is_some() {
            handover.set(Step::Off);
            return Some((QueueResult::Hangup, None));
        }
        if handover.step() == Step::Off {
            return None;
        }
        handover.set(Step::Ready);
        let begin = clock::now();
        let parted = self
            .wait(|_| match handover.step() {
                step @ (Step::Parted | Step::Moved | Step::Off) => Some(step),
                Step::Called | Step::Ready | Step::Talking => None,
            })
            .await;
        let talked = Some(clock::now().saturating_duration_since(begin));
        match (parted, handover.step()) {
            (Ok(Step::Off), _) => None,
            (Ok(Step::Moved), _) => Some((QueueResult::RedirectedFromBridged, talked)),
            (Ok(_), _) | (Err(_), Step::Talking | Step::Parted | Step::Moved) => {
                Some((QueueResult::Bridged, talked))
            }
            (Err(_), Step::Called | Step::Ready | Step::Off) => Some((QueueResult::Hangup, None)),
        }
    }

    /// Answers, and talks with the caller who came first to the queue, or comes in time. Dropping the future parts them.
    ///
    /// # Errors
    /// When the call ends or has no media.
    pub async fn dequeue(&self, options: DequeueOptions) -> Result<Dequeued, CallError> {
        self.answer().await?;
        self.open_media().await?;
        let account = self.facts().account.id.to_string();
        let queue = self.core().queue(&account, &options.name);
        let waiting = Box::pin(self.somebody(&queue, &options));
        let found = match options.timeout {
            Some(limit) => match tokio::time::timeout(limit, waiting).await {
                Ok(found) => Some(found?),
                Err(_elapsed) => None,
            },
            None => Some(waiting.await?),
        };
        let Some(taken) = found else {
            return Ok(Dequeued {
                result: DequeueResult::Empty,
                queue_id: queue.id.clone(),
                call_id: None,
                waited: Duration::ZERO,
                talked: Duration::ZERO,
            });
        };
        self.talk_with(taken, &options).await
    }

    /// The next caller, ready to talk.
    async fn somebody(
        &self,
        queue: &Rc<Queue>,
        options: &DequeueOptions,
    ) -> Result<Taken, CallError> {
        let watch = Watch {
            call: self.clone(),
            queue: queue.clone(),
        };
        queue.watch(self, true);
        loop {
            let coming = async {
                let next = self.wait(|_| queue.take(self, options.announce.as_ref()));
                let taken = Taken(next.await?);
                let ready = self
                    .wait(|_| match taken.0.step() {
                        Step::Called => None,
                        step => Some(step == Step::Ready),
                    })
                    .await?;
                Ok::<_, CallError>(Some(taken).filter(|_| ready))
            };
            let come = tokio::select! {
                biased;
                come = coming => come?,
                heard = self.entertain(&options.wait, Default::default) => {
                    heard?;
                    continue;
                }
            };
            if let Some(taken) = come {
                drop(watch);
                return Ok(taken);
            }
        }
    }

    async fn talk_with(
        &self,
        taken: Taken,
        options: &DequeueOptions,
    ) -> Result<Dequeued, CallError> {
        let handover = taken.0.clone();
        handover.set(Step::Talking);
        let begin = clock::now();
        let talk = Talk::begin(self, &handover.caller, options.hold_music.clone());
        let talking = Box::pin(talk.converse());
        let end = match options.limit {
            Some(limit) => match tokio::time::timeout(limit, talking).await {
                Ok(end) => end,
                Err(_elapsed) => TalkEnd::Left(Cause::ALLOTTED_TIMEOUT),
            },
            None => talking.await,
        };
        handover.set(match end {
            TalkEnd::Left(_) => Step::Parted,
            TalkEnd::Moved => Step::Moved,
        });
        drop(taken);
        match (end, self.ended()) {
            (_, Some(ended)) => Err(CallError::Ended(ended)),
            (end, None) => Ok(Dequeued {
                result: match end {
                    TalkEnd::Left(cause) => DequeueResult::Bridged { cause },
                    TalkEnd::Moved => DequeueResult::Transferred,
                },
                queue_id: handover.queue_id.clone(),
                call_id: Some(handover.caller.own_facts().call_id.clone()),
                waited: handover.waited,
                talked: clock::now().saturating_duration_since(begin),
            }),
        }
    }
}

/// How waiting ended.
enum Turn {
    Over(QueueResult),
    Taken(Rc<Handover>),
}

/// A caller's place in a queue; it is free when this is dropped.
struct Place {
    call: CallHandle,
    queue: Rc<Queue>,
    ticket: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.leave(self.ticket);
        let handover = self.call.state_mut().handover.take();
        let of_here = handover.filter(|handover| self.queue.is_of(handover, self.ticket));
        if let Some(handover) = of_here
            && matches!(handover.step(), Step::Called | Step::Ready)
        {
            handover.set(Step::Off);
        }
    }
}

/// A caller who was taken; free again when this is dropped.
struct Taken(Rc<Handover>);

impl Drop for Taken {
    fn drop(&mut self) {
        match self.0.step() {
            Step::Called | Step::Ready => self.0.set(Step::Off),
            Step::Talking => self.0.set(Step::Parted),
            Step::Parted | Step::Moved | Step::Off => {}
        }
    }
}

/// Somebody who waits for callers.
struct Watch {
    call: CallHandle,
    queue: Rc<Queue>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.queue.watch(&self.call, false);
    }
}

/// Callers of one queue, whatever an application wants.
const MOST_WAITING: usize = 5000;
