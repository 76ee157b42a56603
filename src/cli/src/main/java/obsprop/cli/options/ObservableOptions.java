package obsprop.cli.options;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import obsprop.cli.UsageException;
import obsprop.cli.tokens.ObservableParser;
import obsprop.cli.tokens.ObservableSpec;
import obsprop.cli.tokens.ResolvedObservable;
import obsprop.cli.tokens.Vocabulary;
import picocli.CommandLine.Option;

/** The observables that a command is about. */
public final class ObservableOptions {
    @Option(names = "--observable", paramLabel = "SPEC",
            description = "a weighted sum of tokens, as in '\" she\" - 0.5*\" he\"', 'name=\"a\" - \"b\"' or '#673 - #339';"
                    + " repeatable")
    private List<String> specs = new ArrayList<>();

    @Option(names = "--plus", paramLabel = "TOKEN", description = "a token with weight 1 of one further observable; repeatable")
    private List<String> plus = new ArrayList<>();

    @Option(names = "--minus", paramLabel = "TOKEN", description = "the same with weight -1; repeatable")
    private List<String> minus = new ArrayList<>();

    /** Whether there is any. */
    public boolean given() {
        return !(specs.isEmpty() && plus.isEmpty() && minus.isEmpty());
    }

    /**
     * All observables in the order given, the one of {@code --plus} and {@code --minus} last.
     *
     * @throws UsageException where there is none, or one is wrong
     */
    public List<ResolvedObservable> resolve(Vocabulary vocabulary) {
        List<ObservableSpec> parsed = new ArrayList<>(specs.stream().map(ObservableParser::parse).toList());
        List<ObservableSpec.Term> terms = new ArrayList<>();
        plus.forEach(text -> terms.add(term(1, text, "--plus")));
        minus.forEach(text -> terms.add(term(-1, text, "--minus")));
        if (!terms.isEmpty()) {
            parsed.add(new ObservableSpec(Optional.empty(), terms));
        }
        if (parsed.isEmpty()) {
            throw new UsageException("no observable given: write, for example, --observable '\" she\" - \" he\"'");
        }
        return parsed.stream().map(spec -> ResolvedObservable.of(spec, vocabulary)).toList();
    }

    private static ObservableSpec.Term term(double weight, String text, String option) {
        if (text.isEmpty()) {
            throw new UsageException(option + ": the token is empty: give one token's text");
        }
        return new ObservableSpec.Term(weight, new ObservableSpec.Text(text));
    }
}
