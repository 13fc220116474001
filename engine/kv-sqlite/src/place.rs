//! A place for one thing. Whoever takes it out has it alone, until it is put back: a claim without a lock.

use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::SeqCst;

/// Null, or a pointer from `Box::into_raw` that is in no other hands.
pub(crate) struct Place<T>(AtomicPtr<T>);

// SAFETY: the thing is reached only by who has taken it out, so that it goes from thread to thread and is never shared.
unsafe impl<T: Send> Sync for Place<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Place<T> {}

impl<T> Place<T> {
    pub const fn empty() -> Self {
        Place(AtomicPtr::new(ptr::null_mut()))
    }

    pub fn of(thing: Box<T>) -> Self {
        Place(AtomicPtr::new(Box::into_raw(thing)))
    }

    pub fn take(&self) -> Option<Box<T>> {
        let thing = self.0.swap(ptr::null_mut(), SeqCst);
        // SAFETY: what stands in the place comes from `Box::into_raw`, and the exchange gave it to us alone.
        (!thing.is_null()).then(|| unsafe { Box::from_raw(thing) })
    }

    /// Gives the thing back if there is one already.
    pub fn put(&self, thing: Box<T>) -> Result<(), Box<T>> {
        let thing = Box::into_raw(thing);
        match self.0.compare_exchange(ptr::null_mut(), thing, SeqCst, SeqCst) {
            Ok(_) => Ok(()),
            // SAFETY: it was made by `into_raw` just above, and the exchange that failed gave it to nobody.
            Err(_) => Err(unsafe { Box::from_raw(thing) }),
        }
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.load(SeqCst).is_null()
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::Arc;

    #[test]
    fn one_at_a_time_has_the_thing_and_none_is_lost() {
        // A cell that two threads used at once would lose counts.
        let place = Place::of(Box::new(Cell::new(0)));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut turns = 0;
                    while turns < 10_000 {
                        let Some(count) = place.take() else { continue };
                        count.set(count.get() + 1);
                        assert!(place.put(count).is_ok(), "nobody else has anything to put");
                        turns += 1;
                    }
                });
            }
        });
        assert_eq!(place.take().unwrap().get(), 40_000);
        assert!(place.take().is_none());
    }

    #[test]
    fn a_full_place_gives_back_what_comes_second_and_drops_what_it_holds() {
        let things = [Arc::new(1), Arc::new(2)];
        let place = Place::empty();
        assert!(place.put(Box::new(things[0].clone())).is_ok());
        assert_eq!(place.put(Box::new(things[1].clone())), Err(Box::new(things[1].clone())));
        drop(place);
        assert!(things.iter().all(|thing| Arc::strong_count(thing) == 1));
    }
}
