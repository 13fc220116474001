//! A progress bar on standard error, when that is a terminal; otherwise nothing at all.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub struct Progress(ProgressBar);

impl Progress {
    /// Work of known length, in items.
    pub fn bar(doing: &'static str, items: u64) -> Self {
        // On a terminal only: indicatif draws nothing elsewhere.
        let bar = ProgressBar::with_draw_target(Some(items), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg:28} [{bar:30}] {human_pos}/{human_len} {eta}");
        bar.set_style(style.expect("a fixed template").progress_chars("=> "));
        bar.set_message(doing);
        Progress(bar)
    }

    /// Work of known length, in bytes.
    pub fn bytes(doing: &'static str, bytes: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
        let template = "{msg:28} [{bar:30}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
        bar.set_style(ProgressStyle::with_template(template).expect("a fixed template").progress_chars("=> "));
        bar.set_message(doing);
        Progress(bar)
    }

    /// Work whose length shows only at its end.
    pub fn count(doing: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg:28} {spinner} {human_pos} {elapsed}");
        bar.set_style(style.expect("a fixed template"));
        bar.set_message(doing);
        Progress(bar)
    }

    /// So many items in all so far.
    pub fn set(&self, items: u64) {
        self.0.set_position(items);
    }

    /// So many more in all are to be done than was known.
    pub fn expect(&self, items: u64) {
        self.0.inc_length(items);
    }

    pub fn add(&self, items: u64) {
        self.0.inc(items);
    }
}

impl Drop for Progress {
    /// The bar goes away, so that what is printed next stands by itself.
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
