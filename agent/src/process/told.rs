//! Whether anything of a process is told, so that what begins in the output ends there, and nothing else does.

/// Why events of a process are left out: a slot of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The slot.
    pub reason: u16,
    /// Because of the image that it runs, which what it forks runs too.
    pub by_image: bool,
}

/// What is told of a process so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// There was nothing to tell, or it was not asked for.
    #[default]
    Nothing,
    /// Something: then its end is told too, whatever comes between.
    Something,
    /// It was left out, and so is its end.
    LeftOut(LeftOut),
}

impl Told {
    /// After an image was left out.
    pub fn or_left_out(self, left_out: LeftOut) -> Self {
        if self == Self::Something { self } else { Self::LeftOut(left_out) }
    }

    /// What a process begins with that was made by one like this.
    pub fn of_child(self) -> Self {
        match self {
            Self::LeftOut(left_out) if left_out.by_image => self,
            _ => Self::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_is_ended_and_only_the_image_is_inherited() {
        let rule = LeftOut { reason: 7, by_image: true };
        let drawn = LeftOut { reason: 4, by_image: false };
        assert_eq!(Told::Something.or_left_out(rule), Told::Something);
        assert_eq!(Told::Nothing.or_left_out(rule), Told::LeftOut(rule));
        assert_eq!(Told::LeftOut(rule).or_left_out(drawn), Told::LeftOut(drawn));
        assert_eq!(Told::LeftOut(rule).of_child(), Told::LeftOut(rule));
        assert_eq!(Told::LeftOut(drawn).of_child(), Told::Nothing);
        assert_eq!(Told::Something.of_child(), Told::Nothing);
    }
}
