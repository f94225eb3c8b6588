//! Numbers with a fraction, which exist only where they are shown: programs send whole numbers, and what is computed of them
//! with literals such as `1.0e9` is computed when it is printed.
//!
//! In: the whole numbers that a conversion of a format takes. Out: the number that it shows, in double precision.

/// An expression whose value is a number with a fraction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decimal {
    /// A literal, as the bits of a double.
    Literal(u64),
    /// A whole number that the program sends: its place among the arguments of the conversion.
    Argument(usize),
    /// `-a`.
    Negative(Box<Decimal>),
    /// `a op b`.
    Binary(DecimalOp, Box<Decimal>, Box<Decimal>),
}

/// An operation on numbers with a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the operators'")]
pub enum DecimalOp {
    Add,
    Sub,
    Mul,
    Div,
}

impl Decimal {
    /// How many arguments it takes: their places are below.
    pub fn arguments(&self) -> usize {
        match self {
            Self::Literal(_) => 0,
            Self::Argument(place) => place + 1,
            Self::Negative(of) => of.arguments(),
            Self::Binary(_, a, b) => a.arguments().max(b.arguments()),
        }
    }

    /// Its value, where `argument` gives the whole numbers by their places. A division by zero is infinite, or no number where
    /// zero is divided, as IEEE 754 has it.
    pub fn value(&self, argument: &dyn Fn(usize) -> f64) -> f64 {
        match self {
            Self::Literal(bits) => f64::from_bits(*bits),
            Self::Argument(place) => argument(*place),
            Self::Negative(of) => -of.value(argument),
            Self::Binary(op, a, b) => {
                let (a, b) = (a.value(argument), b.value(argument));
                match op {
                    DecimalOp::Add => a + b,
                    DecimalOp::Sub => a - b,
                    DecimalOp::Mul => a * b,
                    DecimalOp::Div => a / b,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_computed_from_the_arguments() {
        let literal = |n: f64| Box::new(Decimal::Literal(n.to_bits()));
        let argument = |place| Box::new(Decimal::Argument(place));
        // (a0 / 4.0 - a1) * 2.0
        let quotient = Box::new(Decimal::Binary(DecimalOp::Div, argument(0), literal(4.0)));
        let difference = Box::new(Decimal::Binary(DecimalOp::Sub, quotient, argument(1)));
        let all = Decimal::Binary(DecimalOp::Mul, difference, literal(2.0));
        assert_eq!(all.arguments(), 2);
        assert_eq!(all.value(&|place| [10.0, 1.0][place]), 3.0);
        assert_eq!(Decimal::Negative(literal(0.5)).value(&|_| 0.0), -0.5);
        assert_eq!(Decimal::Literal(0).arguments(), 0);
    }
}
