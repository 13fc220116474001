//! Claims about what may not commit together, and about what may.

use super::{Meeting, Open, change, get, number};
use crate::{Attempt, Direction, Durability, KeyRange, Kv, KvResult, Transaction, Verdict};
use std::sync::Arc;
use std::thread;

/// Two run `body` at once, each on its own client and with its own number; the first runs of both overlap if possible.
fn race(
    clients: [Arc<dyn Kv>; 2],
    body: impl Fn(&mut dyn Transaction, u8, &dyn Fn()) -> KvResult<()> + Clone + Send + 'static,
) {
    let meeting = Meeting::of(2);
    let racers: Vec<_> = clients
        .into_iter()
        .zip(0u8..)
        .map(|(kv, who)| {
            let (body, meeting) = (body.clone(), meeting.clone());
            thread::spawn(move || {
                kv.transact(Durability::Visible, move |transaction, attempt: Attempt| {
                    let meet = || {
                        if attempt.number == 0 {
                            meeting.arrive();
                        }
                    };
                    body(transaction, who, &meet)?;
                    Ok(((), Verdict::Commit))
                })
                .expect("both end well, the loser after another run");
            })
        })
        .collect();
    racers.into_iter().for_each(|racer| racer.join().expect("no assertion fails in a body"));
}

pub fn write_skew_is_refused(open: &Open<'_>) {
    let store = open();
    let clients = [store.client(), store.client()];
    for round in 0..5 {
        change(&clients[0], |transaction| {
            transaction.put(b"on call 0", b"y");
            transaction.put(b"on call 1", b"y");
            Ok(())
        });
        race(clients.clone(), |transaction, who, meet| {
            let mut on_call = 0;
            for key in [b"on call 0", b"on call 1"] {
                on_call += i32::from(transaction.get(key)?.as_deref() == Some(b"y"));
            }
            meet();
            if on_call == 2 {
                transaction.put(format!("on call {who}").as_bytes(), b"n");
            }
            Ok(())
        });
        let off = (0..2).filter(|who| get(&clients[0], format!("on call {who}").as_bytes()).as_deref() == Some(b"n"));
        assert_eq!(off.count(), 1, "round {round}: each saw both on call, and both left");
    }
}

pub fn phantoms_are_refused(open: &Open<'_>) {
    let store = open();
    let clients = [store.client(), store.client()];
    for round in 0..5u8 {
        let prefix = [b'p', round];
        race(clients.clone(), move |transaction, who, meet| {
            let range = KeyRange::prefix(&prefix);
            let direction = if who == 0 { Direction::Forward } else { Direction::Backward };
            let found = transaction.scan(&range, 10, direction)?;
            meet();
            if found.is_empty() {
                transaction.put(&[prefix.as_slice(), &[who]].concat(), b"");
            }
            Ok(())
        });
        assert_eq!(super::all(&clients[0], &prefix).len(), 1, "round {round}: both saw an empty range");
    }
}

pub fn updates_are_never_lost(open: &Open<'_>) {
    let store = open();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let kv = store.client();
            thread::spawn(move || {
                for _ in 0..25 {
                    change(&kv, |transaction| {
                        let next = number(transaction.get(b"read and written")?) + 1;
                        transaction.put(b"read and written", &next.to_le_bytes());
                        Ok(())
                    });
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("every change commits"));
    assert_eq!(number(get(&store.client(), b"read and written")), 100);
}

pub fn unchecked_reads_do_not_conflict(open: &Open<'_>) {
    let store = open();
    let clients = [store.client(), store.client()];
    race(clients.clone(), |transaction, who, meet| {
        transaction.get_unchecked(b"shared")?;
        transaction.scan_unchecked(&KeyRange::prefix(b"shared"), 10, Direction::Forward)?;
        meet();
        transaction.put(b"shared", &[who]);
        transaction.put(&[b'w', who], b"");
        Ok(())
    });
    assert_eq!(super::all(&clients[0], b"w").len(), 2);
    if let Some(conflicts) = store.conflicts() {
        assert_eq!(conflicts, 0);
    }
}
