package obsprop.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import java.util.function.DoubleSupplier;
import java.util.function.Function;
import java.util.function.IntToDoubleFunction;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.testing.Measured;
import obsprop.testing.Tensors;
import obsprop.testing.Tolerance;

/**
 * Runs one call on the kernels under test and on the oracle, with equal operands.
 *
 * <p>The margins of strided operands, and outputs that will be overwritten, hold NaN: who reads them shows. After the
 * call the margins must be NaN still, and inputs as they were.
 */
final class TestBed implements AutoCloseable {
    private final Kernels tested;
    private final Kernels oracle = ScalarKernels.float64();
    private final Layout layout;
    private final Measured measured;
    /** Shared, as kernels may be parallel. */
    private final Arena arena = Arena.ofShared();
    private final Random random = new Random(20);
    private final List<Operand> inputs = new ArrayList<>();

    TestBed(Kernels tested, Layout layout, Measured measured) {
        this.tested = tested;
        this.layout = layout;
        this.measured = measured;
    }

    /** One tensor, twice: {@code expected} for the oracle, {@code view} of {@code buffer} for the kernels under test. */
    record Operand(Tensor expected, Tensor buffer, Tensor view) {
        /** Rows {@code from <= row < to}. */
        Operand rows(int from, int to) {
            return new Operand(expected.slice(0, from, to), buffer, view.slice(0, from, to));
        }
    }

    /** The kernels that a call is to use, and the tensors for them. */
    record Side(Kernels kernels, Function<Operand, Tensor> tensors) {
        Tensor of(Operand operand) {
            return tensors.apply(operand);
        }
    }

    /** Random activations, uniform in [-magnitude, magnitude], which no call may change. */
    Operand input(double magnitude, int... shape) {
        return input(uniform(magnitude), shape);
    }

    Operand input(DoubleSupplier values, int... shape) {
        Operand operand = inPlace(values, shape);
        inputs.add(operand);
        return operand;
    }

    /** Random activations that a call may change. */
    Operand inPlace(double magnitude, int... shape) {
        return inPlace(uniform(magnitude), shape);
    }

    Operand inPlace(DoubleSupplier values, int... shape) {
        Tensor host = host(tested.activationType(), values, shape);
        Tensor buffer = tested.allocate(arena, host.shape());
        tested.copy(host, buffer);
        return operand(host, buffer, shape);
    }

    /** Random values to add to, or NaN to overwrite. */
    Operand output(Write write, int... shape) {
        return inPlace(write == Write.ACCUMULATE ? uniform(1) : () -> Double.NaN, shape);
    }

    /** A random weight. */
    Operand weight(DType type, double magnitude, int... shape) {
        Tensor host = host(type, uniform(magnitude), shape);
        return operand(host, tested.place(arena, host), shape);
    }

    /** A random weight of which only the view is placed, not the buffer around it. */
    Operand placedView(DType type, double magnitude, int... shape) {
        Tensor host = host(type, uniform(magnitude), shape);
        Operand whole = operand(host, host, shape);
        Tensor placed = tested.place(arena, whole.view());
        return new Operand(whole.expected(), placed, placed);
    }

    private DoubleSupplier uniform(double magnitude) {
        return () -> magnitude * (2 * random.nextDouble() - 1);
    }

    private Tensor host(DType type, DoubleSupplier values, int[] shape) {
        Tensor host = Tensor.allocate(arena, type, layout.buffer(shape));
        Tensors.fill(host, () -> Double.NaN);
        Tensors.fill(layout.view(host, shape), values);
        return host;
    }

    private Operand operand(Tensor host, Tensor buffer, int[] shape) {
        Tensor expected = Tensors.of(arena, layout.view(host, shape).toDoubles(), shape);
        return new Operand(expected, buffer, layout.view(buffer, shape));
    }

    /** Makes the call on both sides. */
    void both(Consumer<Side> call) {
        call.accept(new Side(oracle, Operand::expected));
        tested(call);
    }

    /** Makes the call on the kernels under test only. */
    void tested(Consumer<Side> call) {
        call.accept(new Side(tested, Operand::view));
    }

    /** What the kernels under test made of a whole activation, not of some {@link Operand#rows}. */
    double[] fetch(Operand operand) {
        int[] shape = operand.expected().shape();
        Tensor host = Tensor.allocate(arena, tested.activationType(), operand.buffer().shape());
        tested.copy(operand.buffer(), host);
        Tensor view = layout.view(host, shape);
        double[] values = view.toDoubles();
        Tensors.fill(view, () -> Double.NaN);
        for (double margin : host.toDoubles()) {
            assertTrue(Double.isNaN(margin), "the margin around the output was written to");
        }
        return values;
    }

    /** Compares what the two sides made of an operand. */
    void check(String context, Operand operand, double tolerance) {
        check(context, operand, i -> tolerance);
    }

    /** The same with a tolerance for each element, in row-major order. */
    void check(String context, Operand operand, IntToDoubleFunction tolerance) {
        double[] actual = fetch(operand);
        double[] expected = operand.expected().toDoubles();
        for (int i = 0; i < expected.length; i++) {
            measured.check(context + " " + layout + " element " + i, actual[i], expected[i], tolerance.applyAsDouble(i));
        }
    }

    /** Compares what the kernels under test made of two operands, to the bit. */
    void same(String context, Operand a, Operand b) {
        assertArrayEquals(fetch(a), fetch(b), context);
    }

    /** Demands the same bits where {@code exact}, a difference within {@code tolerance} otherwise. */
    void same(String context, Operand a, Operand b, boolean exact, double tolerance) {
        if (exact) {
            same(context, a, b);
        } else {
            assertArrayEquals(fetch(a), fetch(b), tolerance, context);
        }
    }

    /** {@link Tolerance#of} for the type under test. */
    double tolerance(int length, double magnitude) {
        return Tolerance.of(tested.activationType(), length, magnitude);
    }

    @Override
    public void close() {
        for (Operand input : inputs) {
            assertArrayEquals(input.expected().toDoubles(), fetch(input), "an input was changed");
        }
        arena.close();
    }
}
