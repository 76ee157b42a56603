package obsprop.weights;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import obsprop.weights.corpus.Corpus;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code weights corpus}. */
@Command(
        name = "corpus",
        mixinStandardHelpOptions = true,
        description = "Write a corpus of short English and code texts in which facts are planted at stated rates.")
final class CorpusCommand implements Callable<Integer> {
    @Option(names = "--out", required = true, description = "directory to create")
    private Path out;

    @Option(names = "--documents", defaultValue = "200000", description = "training documents (${DEFAULT-VALUE})")
    private int documents;

    @Option(names = "--seed", defaultValue = "1", description = "same seed, same corpus (${DEFAULT-VALUE})")
    private long seed;

    @Override
    public Integer call() {
        TrainCommand.atLeastOne("--documents", documents);
        try (OutputDirectory directory = OutputDirectory.create(out)) {
            Corpus.write(directory, documents, seed);
            directory.commit();
        }
        return 0;
    }
}
