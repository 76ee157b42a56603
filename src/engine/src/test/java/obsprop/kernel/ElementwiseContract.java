package obsprop.kernel;

import obsprop.kernel.TestBed.Operand;
import obsprop.testing.Measured;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Contract tests of activations, gates and the soft cap. */
@SuppressWarnings("exports")
public interface ElementwiseContract extends KernelsUnderTest {
    /** Ranges of activations: about zero, usual, saturated. */
    double[] RANGES = {0.01, 4, 100};

    /** The largest |f| in a range, and the largest part of its derivative. */
    static double magnitude(Activation f, double range) {
        return switch (f) {
            case TANH, SIGMOID -> 1;
            case RELU_SQUARED -> Math.max(range, range * range);
            default -> range;
        };
    }

    @ParameterizedTest
    @EnumSource
    default void activation(Activation f) {
        try (Measured measured = new Measured("activation " + f)) {
            for (Layout layout : Layout.values()) {
                for (double range : RANGES) {
                    for (int n : WIDTHS) {
                        activation(new TestBed(kernels(), layout, measured), f, range, n);
                    }
                }
            }
        }
    }

    private void activation(TestBed bed, Activation f, double range, int n) {
        try (bed) {
            Operand x = bed.input(range, 5, n);
            Operand y = bed.output(Write.OVERWRITE, 5, n);
            Operand inPlace = bed.output(Write.OVERWRITE, 5, n);
            bed.both(s -> s.kernels().activation(f, s.of(x), s.of(y)));
            bed.tested(s -> {
                s.kernels().copy(s.of(x), s.of(inPlace));
                s.kernels().activation(f, s.of(inPlace), s.of(inPlace));
            });
            bed.check("range " + range + " n " + n, y, bed.tolerance(1, magnitude(f, range)));
            bed.same("in place", y, inPlace);
        }
    }

    @ParameterizedTest
    @EnumSource
    default void activationVjp(Activation f) {
        try (Measured measured = new Measured("activationVjp " + f)) {
            for (Layout layout : Layout.values()) {
                for (double range : RANGES) {
                    for (int n : WIDTHS) {
                        for (int cotangents : COTANGENTS) {
                            activationVjp(new TestBed(kernels(), layout, measured), f, range, cotangents, n);
                        }
                    }
                }
            }
        }
    }

    private void activationVjp(TestBed bed, Activation f, double range, int cotangents, int n) {
        try (bed) {
            Operand x = bed.input(range, 3, n);
            Operand dy = bed.input(1, cotangents * 3, n);
            Operand dx = bed.output(Write.OVERWRITE, cotangents * 3, n);
            Operand inPlace = bed.output(Write.OVERWRITE, cotangents * 3, n);
            Operand oneByOne = bed.output(Write.OVERWRITE, cotangents * 3, n);
            bed.both(s -> s.kernels().activationVjp(f, s.of(dy), s.of(x), s.of(dx)));
            bed.tested(s -> {
                s.kernels().copy(s.of(dy), s.of(inPlace));
                s.kernels().activationVjp(f, s.of(inPlace), s.of(x), s.of(inPlace));
            });
            for (int c = 0; c < cotangents; c++) {
                Operand in = dy.rows(3 * c, 3 * c + 3);
                Operand out = oneByOne.rows(3 * c, 3 * c + 3);
                bed.tested(s -> s.kernels().activationVjp(f, s.of(in), s.of(x), s.of(out)));
            }
            bed.check("range " + range + " n " + n, dx, bed.tolerance(1, Math.max(1, magnitude(f, range))));
            bed.same("in place", dx, inPlace);
            bed.same("one by one", dx, oneByOne);
        }
    }

    @ParameterizedTest
    @EnumSource
    default void gated(Activation f) {
        try (Measured measured = new Measured("gated " + f)) {
            for (Layout layout : Layout.values()) {
                for (int n : WIDTHS) {
                    try (TestBed bed = new TestBed(kernels(), layout, measured)) {
                        Operand gate = bed.input(4, 5, n);
                        Operand up = bed.input(1, 5, n);
                        Operand y = bed.output(Write.OVERWRITE, 5, n);
                        Operand overGate = bed.output(Write.OVERWRITE, 5, n);
                        Operand overUp = bed.output(Write.OVERWRITE, 5, n);
                        bed.both(s -> s.kernels().gated(f, s.of(gate), s.of(up), s.of(y)));
                        bed.tested(s -> {
                            s.kernels().copy(s.of(gate), s.of(overGate));
                            s.kernels().gated(f, s.of(overGate), s.of(up), s.of(overGate));
                            s.kernels().copy(s.of(up), s.of(overUp));
                            s.kernels().gated(f, s.of(gate), s.of(overUp), s.of(overUp));
                        });
                        bed.check("n " + n, y, bed.tolerance(1, magnitude(f, 4)));
                        bed.same("over gate", y, overGate);
                        bed.same("over up", y, overUp);
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    default void gatedVjp(Activation f) {
        try (Measured measured = new Measured("gatedVjp " + f)) {
            for (Layout layout : Layout.values()) {
                for (int n : WIDTHS) {
                    for (int cotangents : COTANGENTS) {
                        gatedVjp(new TestBed(kernels(), layout, measured), f, cotangents, n);
                    }
                }
            }
        }
    }

    private void gatedVjp(TestBed bed, Activation f, int cotangents, int n) {
        try (bed) {
            int rows = cotangents * 3;
            Operand gate = bed.input(4, 3, n);
            Operand up = bed.input(1, 3, n);
            Operand dy = bed.input(1, rows, n);
            Operand dGate = bed.output(Write.OVERWRITE, rows, n);
            Operand dUp = bed.output(Write.OVERWRITE, rows, n);
            Operand overGate = bed.output(Write.OVERWRITE, rows, n);
            Operand overUp = bed.output(Write.OVERWRITE, rows, n);
            Operand other = bed.output(Write.OVERWRITE, rows, n);
            bed.both(s -> s.kernels().gatedVjp(f, s.of(dy), s.of(gate), s.of(up), s.of(dGate), s.of(dUp)));
            String context = "n " + n + " K " + cotangents;
            bed.check(context + " dGate", dGate, bed.tolerance(1, magnitude(f, 4)));
            bed.check(context + " dUp", dUp, bed.tolerance(1, magnitude(f, 4)));
            bed.tested(s -> {
                s.kernels().copy(s.of(dy), s.of(overGate));
                s.kernels().gatedVjp(f, s.of(overGate), s.of(gate), s.of(up), s.of(overGate), s.of(other));
            });
            bed.same(context + " dGate over dy", dGate, overGate);
            bed.same(context + " dUp beside", dUp, other);
            bed.tested(s -> {
                s.kernels().copy(s.of(dy), s.of(overUp));
                s.kernels().gatedVjp(f, s.of(overUp), s.of(gate), s.of(up), s.of(other), s.of(overUp));
            });
            bed.same(context + " dUp over dy", dUp, overUp);
            bed.same(context + " dGate beside", dGate, other);
            for (int c = 0; c < cotangents; c++) {
                Operand in = dy.rows(3 * c, 3 * c + 3);
                Operand toGate = overGate.rows(3 * c, 3 * c + 3);
                Operand toUp = overUp.rows(3 * c, 3 * c + 3);
                bed.tested(s -> s.kernels().gatedVjp(f, s.of(in), s.of(gate), s.of(up), s.of(toGate), s.of(toUp)));
            }
            bed.same(context + " dGate one by one", dGate, overGate);
            bed.same(context + " dUp one by one", dUp, overUp);
        }
    }

    @Test
    default void softCap() {
        try (Measured measured = new Measured("softCap")) {
            for (Layout layout : Layout.values()) {
                for (double range : new double[] {0.01, 50, 1e4}) {
                    for (int n : WIDTHS) {
                        try (TestBed bed = new TestBed(kernels(), layout, measured)) {
                            Operand x = bed.inPlace(range, 5, n);
                            bed.both(s -> s.kernels().softCap(30, s.of(x)));
                            bed.check("range " + range + " n " + n, x, bed.tolerance(1, Math.min(30, range)));
                        }
                    }
                }
            }
        }
    }
}
