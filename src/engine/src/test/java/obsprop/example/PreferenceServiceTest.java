package obsprop.example;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import obsprop.propagation.Observable;
import obsprop.testing.Golden;
import org.junit.jupiter.api.Test;

class PreferenceServiceTest {
    private static final int THREADS = 4;

    @Test
    void answersAreTheSameFromManyThreads() throws Exception {
        var random = new Random(9);
        int vocabulary = Golden.vocabulary("gpt_neo");
        List<int[]> prompts = IntStream.range(0, 40)
                .mapToObj(i -> random.ints(3 + i % 5, 0, vocabulary).toArray())
                .toList();
        try (var service = new PreferenceService(Golden.ROOT.resolve("gpt_neo"), Observable.difference("n", 5, 17));
                ExecutorService threads = Executors.newFixedThreadPool(THREADS)) {
            List<PreferenceService.Answer> alone = prompts.stream().map(service::ask).toList();
            List<Callable<PreferenceService.Answer>> calls =
                    prompts.stream().<Callable<PreferenceService.Answer>>map(p -> () -> service.ask(p)).toList();
            List<Future<PreferenceService.Answer>> together = threads.invokeAll(calls);
            for (int i = 0; i < prompts.size(); i++) {
                assertEquals(prompts.get(i).length, alone.get(i).influence().length);
                assertEquals(alone.get(i).value(), together.get(i).get().value());
                assertArrayEquals(alone.get(i).influence(), together.get(i).get().influence());
            }
        }
    }
}
