package obsprop.cli.commands;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import obsprop.analysis.patching.FoundPath;
import obsprop.analysis.patching.OracleAgreement;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import obsprop.cli.output.Table.Column;
import obsprop.cli.output.Table;
import obsprop.cli.tokens.ResolvedObservable;

/**
 * What {@code paths} found, best first.
 *
 * @param metadata model, observable, rule and final norm
 * @param cosines of the paths' feature vectors with each other, [n][n]
 */
record PathsReport(Map<String, String> metadata, ResolvedObservable observable, Values values, List<FoundPath> paths,
        String rank, double[][] cosines, Optional<OracleAgreement> oracle) implements Report {
    /** The observable on both prompts. */
    record Values(double clean, double corrupted) {
    }

    @Override
    public JsonNode json() {
        ObjectNode document = Json.object().put("model", metadata.get("model")).put("mode", metadata.get("rule"))
                .put("final_norm", metadata.get("final_norm")).put("rank", rank);
        document.set("observable", ObservableView.json(observable));
        document.put("clean", values.clean).put("corrupted", values.corrupted);
        document.set("paths", Json.array(paths, found ->
                Json.object().put("path", found.path().toString()).put("effect", found.effect())));
        document.set("cosines", PatchMeanReport.rows(cosines));
        oracle.ifPresent(agreement -> document.set("oracle", PatchReport.json(agreement)));
        return document;
    }

    @Override
    public String text() {
        Table table = new Table(Column.number("effect"), Column.number("cosine to first"), Column.text("path"));
        for (int i = 0; i < paths.size(); i++) {
            table.row(Numbers.fixed(paths.get(i).effect()), Numbers.fixed(cosines[0][i]), paths.get(i).path().toString());
        }
        return ObservableView.text(List.of(observable)) + "\nclean " + Numbers.fixed(values.clean) + ", corrupted "
                + Numbers.fixed(values.corrupted) + "\n\n" + table;
    }
}
