package obsprop.kernel.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import obsprop.kernel.Activation;
import obsprop.kernel.AttentionRule;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels.AttentionCotangents;
import obsprop.kernel.Kernels.AttentionSaved;
import obsprop.kernel.NormParameters;
import obsprop.kernel.NormRule;
import obsprop.kernel.Segments;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import org.junit.jupiter.api.Test;

/** Who runs the chunks must not show in the result. */
final class CpuThreadsTest {
    private static final int MANY = 150;
    private static final int FEW = 5;
    /** Rows for which W is packed by kernels with vectors of 512 bits, whatever takes longer. */
    private static final int MORE = 300;

    @Test
    void everyThreadCountGivesTheSameBits() {
        try (Arena arena = Arena.ofShared()) {
            List<float[]> one = new Layer(arena, MANY).results(1);
            List<float[]> oneFew = new Layer(arena, FEW).results(1);
            for (int threads : new int[] {2, 3, 7, 16}) {
                same(one, new Layer(arena, MANY).results(threads));
                same(oneFew, new Layer(arena, FEW).results(threads));
            }
        }
    }

    /** Weights too large for strips, by few, some and many rows: each goes another way, and shares its work out by threads. */
    @Test
    void everyThreadCountGivesTheSameProductsByLargeWeights() {
        try (Arena arena = Arena.ofShared()) {
            Layer any = new Layer(arena, FEW);
            for (int[] size : new int[][] {{600, 530}, {2300, 96}, {1200, 2300}}) {
                for (Tensor weight : ofTypes(arena, any.random(size), DType.F32, DType.BF16)) {
                    for (int rows : new int[] {FEW, 40, MANY, MORE}) {
                        for (Transpose turned : Transpose.values()) {
                            Tensor x = any.random(rows, size[turned == Transpose.NO ? 0 : 1]);
                            float[] one = product(any, x, weight, turned, 1);
                            for (int threads : new int[] {2, 3, 7, 16}) {
                                assertArrayEquals(one, product(any, x, weight, turned, threads), rows + " rows, " + threads + " threads");
                            }
                        }
                    }
                }
            }
        }
    }

    /** Operations that are handed out one to a thread give what they give one after the other. */
    @Test
    void operationsSideBySideGiveTheSameBits() {
        try (Arena arena = Arena.ofShared(); CpuKernels one = WarmKernels.create(1)) {
            Layer any = new Layer(arena, FEW);
            int heads = 12;
            Tensor x = any.random(FEW, heads, 64);
            Tensor weight = any.random(heads, 64, 200);
            Tensor expected = any.empty(FEW, heads, 200);
            for (int h = 0; h < heads; h++) {
                one.gemm(x.select(1, h), Transpose.NO, weight.select(0, h), Transpose.NO, expected.select(1, h), Write.OVERWRITE);
            }
            for (int threads : new int[] {1, 2, 7, 16}) {
                Tensor y = any.empty(FEW, heads, 200);
                try (CpuKernels kernels = WarmKernels.create(threads)) {
                    kernels.each(heads, (h, its) -> its.gemm(
                            x.select(1, h), Transpose.NO, weight.select(0, h), Transpose.NO, y.select(1, h), Write.OVERWRITE));
                }
                assertArrayEquals(expected.toFloats(), y.toFloats(), threads + " threads");
            }
        }
    }

    /** Rows and sums so many that X is worked on in slabs, at any width of vectors: row by row the same as a few at a time. */
    @Test
    void slabsOfRowsGiveTheBitsOfFewRows() {
        try (Arena arena = Arena.ofShared(); CpuKernels kernels = WarmKernels.create(2)) {
            Layer any = new Layer(arena, FEW);
            int rows = 300;
            for (int k : new int[] {6000, 13000}) {
                Tensor x = any.random(rows, k);
                Tensor weight = any.random(100, k);
                Tensor atOnce = any.empty(rows, 100);
                Tensor apart = any.empty(rows, 100);
                kernels.gemm(x, Transpose.NO, weight, Transpose.YES, atOnce, Write.OVERWRITE);
                for (int from = 0; from < rows; from += 60) {
                    kernels.gemm(x.slice(0, from, from + 60), Transpose.NO, weight, Transpose.YES, apart.slice(0, from, from + 60), Write.OVERWRITE);
                }
                assertArrayEquals(apart.toFloats(), atOnce.toFloats(), "k " + k);
            }
        }
    }

    /** Tiles for few rows have half the width: row by row the bits are those of many. */
    @Test
    void fewRowsGiveTheBitsOfMany() {
        try (Arena arena = Arena.ofShared(); CpuKernels kernels = WarmKernels.create(2)) {
            Layer any = new Layer(arena, FEW);
            int rows = 20;
            for (int k : new int[] {1031, 2100}) {
                Tensor x = any.random(rows, k);
                Tensor weight = any.random(101, k);
                for (Tensor w : ofTypes(arena, weight, DType.F32, DType.BF16)) {
                    Tensor atOnce = any.empty(rows, 101);
                    kernels.gemm(x, Transpose.NO, w, Transpose.YES, atOnce, Write.OVERWRITE);
                    for (int few = 1; few <= 9; few++) {
                        Tensor apart = any.empty(few, 101);
                        kernels.gemm(x.slice(0, 0, few), Transpose.NO, w, Transpose.YES, apart, Write.OVERWRITE);
                        assertArrayEquals(atOnce.slice(0, 0, few).toFloats(), apart.toFloats(), few + " rows, k " + k);
                    }
                }
            }
        }
    }

    /** {@code dY W} of few, some and many rows goes three ways, the last by tiles of several sizes: row by row the bits are the same. */
    @Test
    void productsByLargeWeightsGiveTheSameBitsForAnyNumberOfRows() {
        try (Arena arena = Arena.ofShared(); CpuKernels kernels = WarmKernels.create(2)) {
            Layer any = new Layer(arena, FEW);
            int n = 600;
            for (int k : new int[] {530, 2300}) {
                for (Tensor w : ofTypes(arena, any.random(k, n), DType.F32, DType.BF16, DType.F16)) {
                    for (int rows : new int[] {96, 97, 98, 99, 100, 101, 140}) {
                        Tensor dy = any.random(rows, k);
                        Tensor before = any.random(rows, n);
                        for (Write write : Write.values()) {
                            Tensor apart = any.empty(rows, n);
                            kernels.copy(before, apart);
                            for (int from = 0, some = 5; from < rows; from += some, some = 37) {
                                int to = Math.min(rows, from + some);
                                kernels.gemm(dy.slice(0, from, to), Transpose.NO, w, Transpose.NO, apart.slice(0, from, to), write);
                            }
                            String what = rows + " rows, " + w.dtype() + ", k " + k + ", " + write;
                            assertBothWays(any, dy, w, before, write, apart.toFloats(), what);
                        }
                    }
                }
            }
        }
    }

    private static List<Tensor> ofTypes(Arena arena, Tensor weight, DType... types) {
        try (CpuKernels kernels = CpuKernels.create(1)) {
            return Stream.of(types).map(type -> {
                Tensor copy = Tensor.allocate(arena, type, weight.shape());
                kernels.copy(weight, copy);
                return copy;
            }).toList();
        }
    }

    /** Of a shape, kernels do the first product in one way, the second in the other ({@link Contest}). */
    private static void assertBothWays(Layer any, Tensor dy, Tensor w, Tensor before, Write write, float[] expected, String what) {
        try (CpuKernels fresh = WarmKernels.create(2)) {
            for (int way = 0; way < 2; way++) {
                Tensor atOnce = any.empty(before.shape());
                fresh.copy(before, atOnce);
                fresh.gemm(dy, Transpose.NO, w, Transpose.NO, atOnce, write);
                assertArrayEquals(expected, atOnce.toFloats(), what + ", way " + way);
            }
        }
    }

    private static float[] product(Layer any, Tensor x, Tensor weight, Transpose turned, int threads) {
        Tensor y = any.empty(x.size(0), weight.size(turned == Transpose.NO ? 1 : 0));
        try (CpuKernels kernels = WarmKernels.create(threads)) {
            kernels.gemm(x, Transpose.NO, weight, turned, y, Write.OVERWRITE);
        }
        return y.toFloats();
    }

    /** Products that are done before vectors are compiled, and those done after. */
    @Test
    void theFirstProductsGiveTheSameBits() {
        try (Arena arena = Arena.ofShared();
                CpuKernels cold = CpuKernels.create(1);
                CpuKernels warm = WarmKernels.create(1)) {
            for (int rows : new int[] {1, FEW, 20}) {
                Layer first = new Layer(arena, rows + 2);
                Layer later = new Layer(arena, rows + 2);
                first.run(cold);
                later.run(warm);
                same(later.outputs(), first.outputs());
            }
            Layer any = new Layer(arena, FEW);
            Tensor even = any.random(FEW, 64);
            Tensor weight = any.random(10, 64);
            Tensor first = any.empty(FEW, 10);
            Tensor later = any.empty(FEW, 10);
            cold.gemm(even, Transpose.NO, weight, Transpose.YES, first, Write.OVERWRITE);
            warm.gemm(even, Transpose.NO, weight, Transpose.YES, later, Write.OVERWRITE);
            assertArrayEquals(later.toFloats(), first.toFloats());
        }
    }

    @Test
    void anEmbeddersExecutorGivesTheSameBits() {
        try (Arena arena = Arena.ofShared();
                ExecutorService executor = Executors.newFixedThreadPool(2);
                CpuKernels kernels = CpuKernels.warm(new Workers(3, executor))) {
            Layer layer = new Layer(arena, MANY);
            layer.run(kernels);
            same(new Layer(arena, MANY).results(1), layer.outputs());
        }
    }

    @Test
    void callersAtOnceDoNotDisturbEachOther() throws Exception {
        try (Arena arena = Arena.ofShared();
                ExecutorService callers = Executors.newFixedThreadPool(4);
                CpuKernels kernels = WarmKernels.create(2)) {
            List<float[]> expected = new Layer(arena, MANY).results(1);
            List<Future<List<float[]>>> answers = new ArrayList<>();
            for (int caller = 0; caller < 4; caller++) {
                Layer layer = new Layer(arena, MANY);
                answers.add(callers.submit(() -> {
                    for (int i = 0; i < 10; i++) {
                        layer.run(kernels);
                    }
                    return layer.outputs();
                }));
            }
            for (Future<List<float[]>> answer : answers) {
                same(expected, answer.get());
            }
        }
    }

    private static void same(List<float[]> expected, List<float[]> actual) {
        assertEquals(expected.size(), actual.size());
        for (int i = 0; i < expected.size(); i++) {
            assertArrayEquals(expected.get(i), actual.get(i), "output " + i);
        }
    }

    @Test
    void everyChunkRunsOnceAndFailuresReachTheCaller() {
        try (Workers workers = new Workers(3)) {
            for (int count = 1; count < 400; count++) {
                AtomicIntegerArray runs = new AtomicIntegerArray(count);
                workers.run((chunk, scratch) -> runs.incrementAndGet(chunk), count);
                for (int chunk = 0; chunk < count; chunk++) {
                    assertEquals(1, runs.get(chunk));
                }
            }
            Workers.Task failing = (chunk, scratch) -> {
                if (chunk == 5) {
                    throw new IllegalStateException("chunk five");
                }
            };
            assertThrows(IllegalStateException.class, () -> workers.run(failing, 9));
            assertThrows(IllegalArgumentException.class, () -> new Workers(0));
        }
    }

    /** Memory may run out on any of the threads: no chunk may be lost unseen, and the team works on. */
    @Test
    void errorsOfAnyThreadReachTheCallerAndTheTeamWorksOn() {
        try (Workers workers = new Workers(3)) {
            Thread caller = Thread.currentThread();
            for (boolean onCaller : new boolean[] {true, false}) {
                AtomicInteger thrown = new AtomicInteger();
                Workers.Task failing = (chunk, scratch) -> {
                    LockSupport.parkNanos(10_000);
                    if (onCaller == (Thread.currentThread() == caller)) {
                        thrown.incrementAndGet();
                        throw new OutOfMemoryError("not really");
                    }
                };
                while (thrown.get() == 0) {
                    try {
                        workers.run(failing, 50);
                        assertEquals(0, thrown.get(), "an error was lost");
                    } catch (OutOfMemoryError e) {
                        assertEquals("not really", e.getMessage());
                    }
                }
                AtomicInteger done = new AtomicInteger();
                workers.run((chunk, scratch) -> done.incrementAndGet(), 50);
                assertEquals(50, done.get());
            }
            Set<String> seen = ConcurrentHashMap.newKeySet();
            Workers.Task naming = (chunk, scratch) -> {
                LockSupport.parkNanos(100_000);
                seen.add(Thread.currentThread().getName());
            };
            for (int i = 0; i < 1000 && seen.size() < 3; i++) {
                workers.run(naming, 50);
            }
            assertEquals(3, seen.size(), "a thread of the team is gone");
        }
    }

    @Test
    void anExecutorThatRefusesLeavesTheWorkToTheCaller() {
        Workers workers = new Workers(3, task -> {
            throw new RejectedExecutionException("shut down");
        });
        AtomicInteger done = new AtomicInteger();
        workers.run((chunk, scratch) -> done.incrementAndGet(), 50);
        assertEquals(50, done.get());
    }

    /** Several threads of an embedding program together never get more than themselves and the team. */
    @Test
    void callersAtOnceDoNotOversubscribe() throws Exception {
        int callers = 4;
        int team = 2;
        AtomicInteger running = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        Workers.Task task = (chunk, scratch) -> {
            most.accumulateAndGet(running.incrementAndGet(), Math::max);
            LockSupport.parkNanos(100_000);
            running.decrementAndGet();
        };
        try (Workers own = new Workers(team);
                ExecutorService executor = Executors.newCachedThreadPool();
                ExecutorService threads = Executors.newFixedThreadPool(callers)) {
            for (Workers workers : List.of(own, new Workers(team, executor))) {
                most.set(0);
                List<Future<?>> calls = new ArrayList<>();
                for (int caller = 0; caller < callers; caller++) {
                    calls.add(threads.submit(() -> {
                        for (int i = 0; i < 20; i++) {
                            workers.run(task, 10);
                        }
                    }));
                }
                for (Future<?> call : calls) {
                    call.get();
                }
                assertTrue(most.get() <= callers + team - 1, most + " threads at once");
            }
        }
    }

    /** Operands of every parallel operation, at odd sizes. */
    private static final class Layer {
        private static final int N = 67;
        private static final int HEADS = 4;
        private static final int GROUPS = 2;
        private static final int DEPTH = 17;
        private final Random random = new Random(3);
        private final Arena arena;
        private final Segments segments;
        private final AttentionSpec spec = new AttentionSpec(0.3, 40, 5);
        private final Tensor x;
        private final Tensor w;
        private final Tensor half;
        private final Tensor bias;
        private final Tensor y;
        private final Tensor dx;
        private final Tensor normed;
        private final Tensor stats;
        private final Tensor acted;
        private final Tensor dActed;
        private final Tensor weightGradient;
        private final NormParameters norm;
        private final AttentionSaved attention;
        private final Tensor dz;
        private final AttentionCotangents cotangents;

        Layer(Arena arena, int rows) {
            this.arena = arena;
            segments = new Segments(rows - 2, 2);
            x = random(rows, N);
            w = random(301, N);
            half = Tensor.allocate(arena, DType.BF16, 301, N);
            CpuKernels.create(1).copy(w, half);
            bias = random(1, 301).select(0, 0);
            y = empty(rows, 301);
            dx = empty(rows, N);
            normed = empty(rows, N);
            stats = empty(rows, 2);
            acted = empty(rows, 301);
            dActed = empty(rows, 301);
            weightGradient = empty(301, N);
            norm = new NormParameters(
                    NormParameters.Kind.LAYER, 1e-5, 0, random(1, N).select(0, 0), Optional.of(random(1, N).select(0, 0)));
            attention = new AttentionSaved(
                    random(rows, HEADS, DEPTH), random(rows, GROUPS, DEPTH), random(rows, GROUPS, DEPTH),
                    empty(rows, HEADS, DEPTH), empty(rows, HEADS));
            dz = random(2 * rows, HEADS, DEPTH);
            cotangents = new AttentionCotangents(
                    empty(2 * rows, HEADS, DEPTH), empty(2 * rows, GROUPS, DEPTH), empty(2 * rows, GROUPS, DEPTH));
        }

        private Tensor empty(int... shape) {
            return Tensor.allocate(arena, DType.F32, shape);
        }

        private Tensor random(int... shape) {
            Tensor tensor = empty(shape);
            for (long i = 0; i < tensor.elements(); i++) {
                tensor.write(i, random.nextDouble() * 2 - 1);
            }
            return tensor;
        }

        void run(CpuKernels kernels) {
            kernels.norm(x, norm, normed, stats);
            kernels.linear(normed, w, Transpose.YES, Optional.of(bias), y, Write.OVERWRITE);
            kernels.gemm(normed, Transpose.NO, half, Transpose.YES, y, Write.ACCUMULATE);
            kernels.activation(Activation.GELU_TANH, y, acted);
            kernels.activationVjp(Activation.GELU_ERF, acted, y, dActed);
            kernels.gemm(dActed, Transpose.NO, half, Transpose.NO, dx, Write.OVERWRITE);
            kernels.gemm(dActed, Transpose.YES, normed, Transpose.NO, weightGradient, Write.OVERWRITE);
            kernels.normVjp(dx, x, stats, norm, NormRule.EXACT, dx, Write.OVERWRITE);
            kernels.attention(attention.q(), attention.k(), attention.v(), spec, segments, attention.z(), attention.lse());
            kernels.attentionVjp(dz, attention, spec, segments, AttentionRule.EXACT, cotangents);
        }

        List<float[]> results(int threads) {
            try (CpuKernels kernels = WarmKernels.create(threads)) {
                run(kernels);
                return outputs();
            }
        }

        List<float[]> outputs() {
            List<float[]> out = new ArrayList<>();
            for (Tensor t : List.of(
                    y, acted, dx, weightGradient, attention.z(), attention.lse(), cotangents.dq(), cotangents.dk(), cotangents.dv())) {
                out.add(t.toFloats());
            }
            return out;
        }
    }
}
