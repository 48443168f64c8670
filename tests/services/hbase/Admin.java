import java.util.ArrayList;
import org.apache.hadoop.hbase.HBaseConfiguration;
import org.apache.hadoop.hbase.TableName;
import org.apache.hadoop.hbase.client.*;
import org.apache.hadoop.hbase.filter.FirstKeyOnlyFilter;
import org.apache.hadoop.hbase.io.compress.Compression;
import org.apache.hadoop.hbase.regionserver.BloomType;
import org.apache.hadoop.hbase.util.Bytes;
import org.apache.hadoop.hbase.util.RegionSplitter;

/** What the owner of a cluster does in `hbase shell`, whose jars our services do not have. See admin.sh. */
public class Admin {
  public static void main(String[] args) throws Exception {
    try (var connection = ConnectionFactory.createConnection(HBaseConfiguration.create());
        var admin = connection.getAdmin()) {
      for (var command : String.join(" ", args).split(" : ")) run(connection, admin, command.split(" "));
    }
  }

  static void run(Connection connection, org.apache.hadoop.hbase.client.Admin admin, String[] args) throws Exception {
    var table = TableName.valueOf(args[1]);
    switch (args[0]) {
      case "create" -> create(admin, table, args);
      case "versions" -> {
        var old = admin.getDescriptor(table).getColumnFamily(Bytes.toBytes(args[2]));
        var family = ColumnFamilyDescriptorBuilder.newBuilder(old).setMaxVersions(Integer.parseInt(args[3])).build();
        admin.modifyColumnFamily(table, family);
      }
      case "disable" -> admin.disableTable(table);
      case "enable" -> admin.enableTable(table);
      case "delete" -> admin.deleteTable(table);
      case "count" -> count(connection, table);
      default -> throw new IllegalArgumentException(args[0]);
    }
  }

  /** create 'TABLE', {NAME => 'FAMILY', VERSIONS => 1, COMPRESSION => 'GZ', BLOOMFILTER => 'ROW'}, …,
   *  {NUMREGIONS => n, SPLITALGO => 'UniformSplit'} */
  static void create(org.apache.hadoop.hbase.client.Admin admin, TableName table, String[] args) throws Exception {
    var families = new ArrayList<ColumnFamilyDescriptor>();
    for (int i = 3; i < args.length; i++) {
      families.add(ColumnFamilyDescriptorBuilder.newBuilder(Bytes.toBytes(args[i])).setMaxVersions(1)
          .setCompressionType(Compression.Algorithm.GZ).setBloomFilterType(BloomType.ROW).build());
    }
    var descriptor = TableDescriptorBuilder.newBuilder(table).setColumnFamilies(families).build();
    int regions = Integer.parseInt(args[2]);
    if (regions > 1) {
      admin.createTable(descriptor, new RegionSplitter.UniformSplit().split(regions));
    } else {
      admin.createTable(descriptor);
    }
  }

  /** The rows of each region, a line `rows N` each; other lines are the client's log. */
  static void count(Connection connection, TableName name) throws Exception {
    try (var table = connection.getTable(name); var locator = connection.getRegionLocator(name)) {
      for (var location : locator.getAllRegionLocations()) {
        var region = location.getRegion();
        var scan = new Scan().withStartRow(region.getStartKey()).withStopRow(region.getEndKey());
        int rows = 0;
        try (var scanner = table.getScanner(scan.setFilter(new FirstKeyOnlyFilter()))) {
          for (var row : scanner) rows++;
        }
        System.out.println("rows " + rows);
      }
    }
  }
}
